// The provider behind the load: it answers at once and counts exactly. In this process, so that a test reads what it
// served without asking over a link that may be broken; misbehaviour is the other mock's trade (Tests/Fixtures).

import NIOCore
import NIOHTTP1
import NIOPosix
import Stack
import Synchronization

/// An OpenAI-compatible provider that knows whom it served what.
final class CountingProvider: Sendable {
    /// What every answer is billed.
    static let promptTokens = 7
    static let completionTokens = 5
    static let totalTokens = promptTokens + completionTokens
    /// A request of this number is answered with a stream of 8 MiB.
    static let flood = "flood"
    /// What follows the mark in a prompt is `APP NUMBER`.
    static let mark = "weir-load "

    /// What one app was served.
    struct Served: Sendable {
        /// Requests whose answer was begun.
        var requests = 0
        /// How often each numbered request came; more than once is a retry of the gateway's.
        var times: [String: Int] = [:]
        /// When they came, since the provider's start, in order.
        var arrivals: [Duration] = []
    }

    private struct State {
        var served: [String: Served] = [:]
        var chunkPause = Duration.zero
    }

    let port: Int
    private let origin = ContinuousClock.now
    private let channel: any Channel
    private let state: Shared

    /// A reference that handlers may share.
    private final class Shared: Sendable {
        let mutex = Mutex(State())
    }

    static func start() async throws -> CountingProvider {
        let port = try FreePort.claim()
        let shared = Shared()
        let origin = ContinuousClock.now
        let channel = try await ServerBootstrap(group: FaultProxy.loops)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.backlog, value: 512)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    let handler = ProviderHandler { app, number in
                        shared.mutex.withLock { state in
                            var served = state.served[app] ?? Served()
                            served.requests += 1
                            served.times[number, default: 0] += 1
                            served.arrivals.append(ContinuousClock.now - origin)
                            state.served[app] = served
                            return state.chunkPause
                        }
                    }
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .bind(host: "127.0.0.1", port: port).get()
        return CountingProvider(port: port, channel: channel, state: shared)
    }

    private init(port: Int, channel: any Channel, state: Shared) {
        self.port = port
        self.channel = channel
        self.state = state
    }

    /// What an app was served so far.
    func served(_ app: String) -> Served { state.mutex.withLock { $0.served[app] ?? Served() } }

    /// Streams pause so long between events.
    func pauseChunks(_ pause: Duration) { state.mutex.withLock { $0.chunkPause = pause } }

    func stop() async {
        do {
            try await channel.close()
        } catch {
            // Closed already.
        }
    }
}

/// Answers one connection's requests.
private final class ProviderHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let serve: (_ app: String, _ number: String) -> Duration
    private var body = ByteBuffer()

    init(_ serve: @escaping (_ app: String, _ number: String) -> Duration) { self.serve = serve }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head: body.clear()
        case .body(var bytes): body.writeBuffer(&bytes)
        case .end: answer(context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func answer(_ context: ChannelHandlerContext) {
        let text = String(buffer: body)
        var pause = Duration.zero
        var isFlood = false
        if let range = text.firstRange(of: CountingProvider.mark) {
            let words = text[range.upperBound...].prefix { $0 != "\"" && $0 != "\\" }.split(separator: " ")
            if words.count >= 2 {
                pause = serve(String(words[0]), String(words[1]))
                isFlood = words[1] == CountingProvider.flood
            }
        }
        if isFlood {
            flood(context)
        } else if text.contains("\"stream\":true") {
            stream(context, pause)
        } else {
            let json = """
                {"id":"c","object":"chat.completion","created":1767225600,"model":"mock","choices":[{"index":0,\
                "message":{"role":"assistant","content":"one two three"},"finish_reason":"stop"}],\(Self.usage)}
                """
            head(context, "application/json", [("content-length", "\(json.utf8.count)")])
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: json)))), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
    }

    private static let usage = """
        "usage":{"prompt_tokens":\(CountingProvider.promptTokens),\
        "completion_tokens":\(CountingProvider.completionTokens),"total_tokens":\(CountingProvider.totalTokens)}
        """

    private static let events: [String] = {
        let start = #"data: {"id":"c","object":"chat.completion.chunk","created":1767225600,"model":"mock","#
        func delta(_ text: String, _ finish: String) -> String {
            start
                + #""choices":[{"index":0,"delta":{"content":"\#(text)"},"finish_reason":\#(finish)}]}"# + "\n\n"
        }
        return [
            delta("one", "null"), delta(" two", "null"), delta(" three", "\"stop\""),
            start + "\"choices\":[],\(usage)}\n\n", "data: [DONE]\n\n",
        ]
    }()

    private func flood(_ context: ChannelHandlerContext) {
        head(context, "text/event-stream", [("transfer-encoding", "chunked")])
        let comment = ByteBuffer(string: ": \(String(repeating: "x", count: 16_380))\n\n")
        for _ in 0..<512 { context.write(wrapOutboundOut(.body(.byteBuffer(comment))), promise: nil) }
        send(0, context, .zero)
    }

    private func stream(_ context: ChannelHandlerContext, _ pause: Duration) {
        head(context, "text/event-stream", [("transfer-encoding", "chunked")])
        send(0, context, pause)
    }

    private func send(_ first: Int, _ context: ChannelHandlerContext, _ pause: Duration) {
        for index in first..<Self.events.count {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: Self.events[index])))), promise: nil)
            if pause > .zero && index + 1 < Self.events.count {
                context.flush()
                let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
                context.eventLoop.scheduleTask(in: TimeAmount(pause)) {
                    let (handler, context) = bound.value
                    if context.channel.isActive { handler.send(index + 1, context, pause) }
                }
                return
            }
        }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    private func head(_ context: ChannelHandlerContext, _ type: String, _ more: [(String, String)]) {
        let headers = HTTPHeaders([("content-type", type)] + more)
        context.write(
            wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .ok, headers: headers))),
            promise: nil
        )
    }
}
