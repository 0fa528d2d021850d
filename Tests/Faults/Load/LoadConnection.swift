// One keep-alive connection of the load: connects when it has to, sends one request at its turn, writes down how it went.

import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// Confined to its loop.
final class LoadConnection {
    /// A request without an end by then is given up: longer than anything a test allows.
    private static let patience = TimeAmount.seconds(15)

    var node = 0
    var port = 0
    var number = 0
    var stride = 1
    let ended: EventLoopPromise<Void>
    private let loop: any EventLoop
    private let client: LoadShape.Client
    private let begin: ContinuousClock.Instant
    private let shared: SharedSamples
    private var turns: LoadTurns
    private var isStopping = false
    private var hasEnded = false
    private var channel: (any Channel)?
    /// The request under way.
    private var sample: Sample?
    private var sentAt = ContinuousClock.now
    private var sentCount = 0
    private var hasHead = false
    private var tail: [UInt8] = []
    private var keepsAlive = true
    private var giveUp: Scheduled<Void>?

    init(
        loop: any EventLoop,
        client: LoadShape.Client,
        turns: LoadTurns,
        begin: ContinuousClock.Instant,
        shared: SharedSamples
    ) {
        self.loop = loop
        self.client = client
        self.turns = turns
        self.begin = begin
        self.shared = shared
        ended = loop.makePromise()
    }

    func stop() {
        isStopping = true
        if sample == nil { end() }
    }

    func takeTurn() {
        guard !hasEnded, sample == nil else { return }
        guard !isStopping, turns.count != 0 else { return end() }
        let now = ContinuousClock.now
        if now < turns.first {
            let bound = NIOLoopBound(self, eventLoop: loop)
            loop.scheduleTask(in: TimeAmount(turns.first - now)) { bound.value.takeTurn() }
            return
        }
        // A turn that passed while an answer was waited for is left out.
        turns.first = max(turns.first + turns.interval, now)
        turns.count = turns.count.map { $0 - 1 }
        var next = Sample()
        next.app = client.app
        next.number = number
        next.node = node
        next.isStream = client.isStream ?? ((number / stride) % 2 == 0)
        next.start = now - begin
        number += stride
        sample = next
        sentAt = now
        if let channel, channel.isActive { send(on: channel) } else { connect() }
    }

    private func end() {
        guard !hasEnded else { return }
        hasEnded = true
        channel?.close(promise: nil)
        ended.succeed(())
    }

    private func connect() {
        let bound = NIOLoopBound(self, eventLoop: loop)
        ClientBootstrap(group: loop)
            .connectTimeout(.seconds(5))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    try channel.pipeline.syncOperations.addHandler(AnswerHandler(bound.value))
                }
            }
            .connect(host: "127.0.0.1", port: port)
            .whenComplete { result in
                switch result {
                case .success(let channel):
                    bound.value.channel = channel
                    bound.value.send(on: channel)
                case .failure:
                    // Nobody there: a client would not come again at once.
                    bound.value.turns.first = max(bound.value.turns.first, .now + .milliseconds(20))
                    bound.value.finish(.notConnected)
                }
            }
    }

    private func send(on channel: any Channel) {
        guard let sample else { return }
        hasHead = false
        tail = []
        keepsAlive = true
        let body = """
            {"model":"\(client.model)","messages":[{"role":"user","content":"\(CountingProvider.mark)\(sample.app) \
            \(sample.number)"}],"stream":\(sample.isStream)}
            """
        var head = HTTPRequestHead(version: .http1_1, method: .POST, uri: "/v1/chat/completions")
        head.headers = [
            "host": "127.0.0.1:\(port)", "authorization": "Bearer \(client.key)", "content-type": "application/json",
            "content-length": "\(body.utf8.count)",
        ]
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        channel.write(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(string: body))), promise: nil)
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
        sentCount += 1
        let bound = NIOLoopBound(self, eventLoop: loop)
        giveUp = loop.scheduleTask(in: Self.patience) { bound.value.lost(channel) }
    }

    fileprivate func received(_ part: HTTPClientResponsePart, on channel: any Channel) {
        guard channel === self.channel else { return }
        switch part {
        case .head(let head):
            hasHead = true
            sample?.status = Int(head.status.code)
            sample?.origin = head.headers.first(name: "x-weir-origin") ?? ""
            keepsAlive = head.isKeepAlive
        case .body(let bytes):
            tail = (tail + bytes.readableBytesView.suffix(300)).suffix(300)
        case .end:
            let text = String(decoding: tail, as: UTF8.self)
            sample?.hasEndMark = text.hasSuffix("data: [DONE]\n\n")
            if sample?.status != 200 { sample?.body = text }
            if !keepsAlive {
                // In this order: closing tells of the loss at once.
                self.channel = nil
                channel.close(promise: nil)
            }
            finish(.complete)
        }
    }

    /// The connection is over, or has to be.
    fileprivate func lost(_ channel: any Channel) {
        guard channel === self.channel else { return }
        self.channel = nil
        channel.close(promise: nil)
        if hasHead, sample != nil { sample?.body = String(decoding: tail, as: UTF8.self) }
        finish(hasHead ? .cut : .noAnswer)
    }

    private func finish(_ end: Sample.End) {
        guard var done = sample else { return }
        sample = nil
        giveUp?.cancel()
        giveUp = nil
        done.took = ContinuousClock.now - sentAt
        done.end = end
        let finished = done
        shared.samples.withLock { $0.append(finished) }
        takeTurn()
    }
}

/// Tells its connection what came.
private final class AnswerHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private let connection: LoadConnection

    init(_ connection: LoadConnection) { self.connection = connection }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        connection.received(unwrapInboundIn(data), on: context.channel)
    }

    func channelInactive(context: ChannelHandlerContext) { connection.lost(context.channel) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        connection.lost(context.channel)
        context.close(promise: nil)
    }
}
