// One client connection: reads a request at a time, never more of it than its bounds allow, and writes its answer.
//
// Requests sent behind one that is being answered wait here, in place of NIO's pipelining handler, which stops reading
// after every request and so costs two system calls for each. This stops only when something waits already, so that no
// more than one read's worth ever does.

import LLMWire
import NIOCore
import NIOHTTP1
import NIOPosix
import Reactor
import Snapshot
import Telemetry

/// The last handler of a client's channel; confined to its worker's loop.
final class RequestHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private enum State {
        /// Between requests.
        case waiting
        /// The head was let through; the body is read.
        case reading(Exchange, body: [UInt8], limit: Int)
        /// The answer is known before the body is read: the rest of it is thrown away first, so that none of it is
        /// ever taken for the next request, and the client, which is still sending, sees the answer.
        case discarding(EarlyAnswer, bytes: Int)
        /// The request is whole; the pipeline or a provider is at work.
        case answering(Exchange)
        /// The request is whole; another thread makes its answer.
        case making
        /// Nothing is read any more; the channel closes when the last bytes are out.
        case closing
    }

    /// Bytes of a refused body that are read before the refusal is sent; above, it is sent at once and the rest cut.
    private static let maxDiscardedBytes = 64 << 10
    /// Bytes still swallowed after such a refusal, so that the client reads it before it meets a reset.
    private static let maxLingeringBytes = 1 << 20
    private static let lingerTimeout: Duration = .seconds(2)
    /// How long a client that sent its end of file may stay silent before it counts as gone.
    private static let halfCloseGrace: Duration = .seconds(1)

    private let worker: Worker
    private let meter: WireMeter
    private var state = State.waiting
    private var context: ChannelHandlerContext?
    private var deadline: MonotonicTime?
    private var keepsAlive = true
    private var lingered: Int?
    private var hasInputEnded = false
    private var writtenSinceInputEnd = false
    /// What came behind the request that is being answered.
    private var waiting = CircularBuffer<HTTPServerRequestPart>()
    private var isReadHeld = false
    private var isResuming = false
    /// The bytes behind what waits are no HTTP.
    private var endsMalformed = false
    private var measure = HTTPExchangeMeasure()
    /// Whose trace an example of the measure leads to.
    private var measured: Exchange?

    init(worker: Worker, meter: WireMeter) {
        self.worker = worker
        self.meter = meter
    }

    /// Whether the next request has to wait.
    private var isAnswering: Bool {
        switch state {
        case .answering, .making: true
        case .waiting, .reading, .discarding, .closing: false
        }
    }

    /// Whether the client takes bytes as fast as we write them.
    var isWritable: Bool { context?.channel.isWritable ?? false }

    // MARK: The channel's life

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        deadline = .now + worker.bounds.headTimeout
        if !worker.add(self) { context.close(promise: nil) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        worker.remove(self)
        self.context = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        worker.remove(self)
        measureEnd(.clientGone)
        if case .answering(let exchange) = state { exchange.clientDidLeave() }
        state = .closing
        self.context = nil
        context.fireChannelInactive()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        guard case .answering(let exchange) = state else { return }
        if context.channel.isWritable {
            deadline = nil
            exchange.creditUpstream()
        } else {
            deadline = .now + worker.bounds.writeTimeout
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard let event = event as? ChannelEvent, event == .inputClosed else {
            context.fireUserInboundEventTriggered(event)
            return
        }
        hasInputEnded = true
        switch state {
        // Half-closed on purpose, or gone? Bytes that we write to a client that is gone come back as a reset; one that
        // gets none is given a moment.
        case .answering: scheduleHalfCloseCheck()
        case .making: break
        case .waiting, .reading, .discarding, .closing: if waiting.isEmpty { context.close(promise: nil) }
        }
    }

    private func scheduleHalfCloseCheck() {
        writtenSinceInputEnd = false
        deadline = .now + Self.halfCloseGrace
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard error is HTTPParserError || error is ByteToMessageDecoderError.PayloadTooLargeError else {
            context.close(promise: nil)  // a reset, a TLS failure: there is nobody to tell
            return
        }
        worker.counters.malformed.add()
        switch state {
        case .waiting, .reading, .discarding: answerMalformed()
        case .answering, .making: endsMalformed = true  // answered when its turn comes
        case .closing: break
        }
    }

    private func answerMalformed() {
        keepsAlive = false
        let headers = Self.identityHeaders(.openAI, requestID: worker.makeRequestID(), origin: .gateway)
        answer(.malformed, .openAI, headers, requestID: headers.first(name: "x-request-id") ?? "")
    }

    // MARK: Reading

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part = Self.unwrapInboundIn(data)
        if isAnswering {
            waiting.append(part)
        } else {
            take(part)
        }
    }

    func read(context: ChannelHandlerContext) {
        if waiting.isEmpty {
            context.read()
        } else {
            isReadHeld = true
        }
    }

    private func take(_ part: HTTPServerRequestPart) {
        switch part {
        case .head(let head): begin(head)
        case .body(let bytes): read(bytes)
        case .end: bodyDidEnd()
        }
    }

    /// The connection is free: takes up what waits, until one of it needs an answer that is not there yet.
    private func resume() {
        guard !isResuming else { return }
        isResuming = true
        defer { isResuming = false }
        while !waiting.isEmpty {
            if isAnswering { return }
            if case .closing = state { return waiting.removeAll() }
            take(waiting.removeFirst())
        }
        guard case .waiting = state else { return }
        if endsMalformed { return answerMalformed() }
        if isReadHeld {
            isReadHeld = false
            context?.read()
        }
    }

    private func begin(_ head: HTTPRequestHead) {
        guard case .waiting = state else { return }
        keepsAlive = head.isKeepAlive && !worker.isDraining
        deadline = .now + worker.bounds.bodyTimeout
        let outcome = Intake.receive(head, handler: self, worker: worker)
        measureBegin(head, outcome)
        switch outcome {
        case .read(let exchange, let limit, let announced, let expectsContinue):
            meter.allow(body: limit)
            var body: [UInt8] = []
            body.reserveCapacity(min(announced, limit))
            state = .reading(exchange, body: body, limit: limit)
            if expectsContinue { writeContinue() }
        case .answer(let answer):
            meter.allow(body: Self.maxDiscardedBytes + Self.maxLingeringBytes)
            state = .discarding(answer, bytes: 0)
            if answer.announcedBytes > Self.maxDiscardedBytes || answer.mustClose { answerEarly(answer) }
        }
    }

    private func read(_ bytes: ByteBuffer) {
        switch state {
        case .reading(let exchange, var body, let limit):
            state = .closing  // gives up the reference, so that the append below does not copy
            guard body.count + bytes.readableBytes <= limit else {
                let answer = Intake.tooLarge(exchange, got: body.count + bytes.readableBytes)
                state = .discarding(answer, bytes: 0)
                answerEarly(answer)
                return
            }
            unsafe bytes.withUnsafeReadableBytes { unsafe body.append(contentsOf: $0) }
            measure.requestBytes = body.count
            state = .reading(exchange, body: body, limit: limit)
        case .discarding(let answer, let count):
            state = .discarding(answer, bytes: count + bytes.readableBytes)
            if count + bytes.readableBytes > Self.maxDiscardedBytes { answerEarly(answer) }
        case .closing:
            linger(bytes.readableBytes)
        case .waiting, .answering, .making:
            break
        }
    }

    private func bodyDidEnd() {
        switch state {
        case .reading(let exchange, let body, _):
            state = .answering(exchange)
            deadline = nil
            Pipeline.run(exchange, body: body)
        case .discarding(let answer, _):
            write(answer)
        case .waiting, .answering, .making, .closing:
            break
        }
    }

    // MARK: Answering

    /// Begins to pass a provider's answer.
    func begin(status: Int, _ headers: HTTPHeaders) {
        write(.head(responseHead(status: status, headers)))
    }

    /// Passes bytes of an answer that has begun.
    func write(_ bytes: ByteBuffer) {
        measure.responseBytes += bytes.readableBytes
        write(.body(.byteBuffer(bytes)))
        writtenSinceInputEnd = true
    }

    /// Sends what was written: once for all that a turn brought, since each call costs a packet.
    func flush() { context?.flush() }

    /// Ends the answer cleanly; the connection is free for the next request.
    func end() {
        state = .waiting
        deadline = .now + worker.bounds.headTimeout
        finishResponse()
    }

    /// Cuts the connection, so that the client knows that the answer is not whole.
    func abort() {
        measureEnd(.interrupted)
        state = .closing
        context?.flush()
        context?.close(promise: nil)
    }

    /// Answers with one of our own errors; the connection is free for the next request.
    func answer(_ error: ClientError, _ dialect: Dialect, _ headers: HTTPHeaders, requestID: String) {
        let body = error.body(dialect, requestID: Array(requestID.utf8))
        answer(status: error.status, body: body, contentType: "application/json", headers)
    }

    func answer(status: Int, body: [UInt8], contentType: String, _ headers: HTTPHeaders, isHead: Bool = false) {
        var headers = headers
        headers.add(name: "content-type", value: contentType)
        headers.add(name: "content-length", value: String(body.count))
        write(.head(responseHead(status: status, headers)))
        // A HEAD's answer has a length and no bytes: bytes would be read as the next answer.
        if !isHead {
            write(.body(.byteBuffer(ByteBuffer(bytes: body))))
            measure.responseBytes = body.count
        }
        state = .waiting
        deadline = .now + worker.bounds.headTimeout
        finishResponse()
    }

    private func write(_ answer: EarlyAnswer) {
        answer.exchangeDidAnswer?()
        switch answer.body {
        case .ready(let body): write(answer, body)
        case .made(let make):
            guard let context else { return }
            state = .making
            deadline = nil
            NIOThreadPool.singleton.runIfActive(eventLoop: context.eventLoop, make).assumeIsolated().whenComplete {
                guard case .making = self.state else { return }  // the client left
                switch $0 {
                case .success(let body): self.write(answer, body)
                case .failure: self.abort()  // the process ends
                }
            }
        }
    }

    private func write(_ answer: EarlyAnswer, _ body: [UInt8]) {
        self.answer(
            status: answer.status,
            body: body,
            contentType: answer.contentType,
            answer.headers,
            isHead: answer.isHead
        )
    }

    /// Answers while the client still sends, swallows a little of the rest, and closes.
    private func answerEarly(_ answer: EarlyAnswer) {
        keepsAlive = false
        lingered = 0
        write(answer)
    }

    private func finishResponse() {
        measureEnd(nil)
        let context = context
        let isLast = waiting.isEmpty && !endsMalformed && hasInputEnded
        guard keepsAlive, !isLast else {
            state = .closing
            guard lingered != nil else {
                context?.writeAndFlush(wrapOutboundOut(.end(nil))).assumeIsolated().whenComplete { _ in
                    context?.close(promise: nil)
                }
                return
            }
            context?.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            deadline = .now + Self.lingerTimeout
            return
        }
        context?.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        // The drain began behind the head, which told the client that it may send another request here: it is answered.
        if worker.isDraining { worker.closeAfterGrace(self) }
        if !waiting.isEmpty || isReadHeld || endsMalformed { resume() }
    }

    private func linger(_ count: Int) {
        lingered = (lingered ?? 0) + count
        if let lingered, lingered > Self.maxLingeringBytes { context?.close(promise: nil) }
    }

    private func responseHead(status: Int, _ headers: HTTPHeaders) -> HTTPResponseHead {
        measure.status = status
        var head = HTTPResponseHead(version: .http1_1, status: .init(statusCode: status), headers: headers)
        if !keepsAlive || worker.isDraining {
            keepsAlive = false
            head.headers.add(name: "connection", value: "close")
        }
        return head
    }

    private func writeContinue() {
        write(.head(HTTPResponseHead(version: .http1_1, status: .continue)))
        context?.flush()
    }

    private func write(_ part: HTTPServerResponsePart) {
        context?.write(wrapOutboundOut(part), promise: nil)
    }

    /// The fields that every answer carries.
    static func identityHeaders(_ dialect: Dialect, requestID: String, origin: Exchange.Origin) -> HTTPHeaders {
        var headers = HTTPHeaders()
        headers.reserveCapacity(16)
        headers.add(name: "x-request-id", value: requestID)
        if dialect == .anthropic { headers.add(name: "request-id", value: requestID) }
        headers.add(name: "x-weir-origin", value: origin.rawValue)
        return headers
    }

    // MARK: Measures

    private func measureBegin(_ head: HTTPRequestHead, _ outcome: IntakeOutcome) {
        let measures = worker.measures
        guard measures.isOn else { return }
        measure = HTTPExchangeMeasure()
        measure.method = head.method
        switch outcome {
        case .read(let exchange, _, _, _):
            measure.route = .call(exchange.endpoint)
            measure.start = exchange.started.nanoseconds
            measured = exchange
        case .answer(let answer):
            guard answer.route != .probe else { return }
            measure.route = answer.route
            measure.start = measures.stamp()
        }
        measures.http.began(measure)
    }

    /// The answer is over, or will never be.
    private func measureEnd(_ trouble: HTTPExchangeMeasure.Trouble?) {
        guard measure.start > 0 else { return }
        let measures = worker.measures
        measures.http.record(measure, end: measures.stamp(), trouble: trouble, exemplar: measured?.trace?.context)
        measure.start = 0
        measured = nil
    }

    // MARK: Deadlines

    /// Once a second, from the worker.
    func sweep(now: MonotonicTime) {
        guard let deadline, deadline <= now, let context else { return }
        if case .answering(let exchange) = state, hasInputEnded, context.channel.isWritable {
            guard !writtenSinceInputEnd else {
                scheduleHalfCloseCheck()
                return
            }
            state = .closing
            exchange.clientDidLeave()
        }
        worker.counters.timedOut.add()
        context.close(promise: nil)
    }

    /// The drain's grace is over: a connection without a request ends at once, another when its answer has told it to.
    func closeIfIdle() {
        guard case .waiting = state else { return }
        context?.close(promise: nil)
    }
}
