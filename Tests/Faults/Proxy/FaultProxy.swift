// A TCP proxy that makes a link as bad as a test wants it, while the parts at its ends are real and know nothing of it.
// One event loop owns the listener and every connection; tests talk to it by messages.

import Glibc
import NIOCore
import NIOPosix
import Stack

/// Stands between a part that connects and a part that listens, on loopback.
final class FaultProxy: Sendable {
    /// The threads of all proxies, providers and load of this test process.
    static let loops = MultiThreadedEventLoopGroup(numberOfThreads: 2)

    /// Where clients connect.
    let port: Int
    private let loop: any EventLoop
    private let core: NIOLoopBound<ProxyCore>

    /// Listens at once; the seed decides which bytes are corrupted and which pieces delayed.
    static func start(to target: Int, seed: UInt64 = 1) async throws -> FaultProxy {
        let loop = loops.next()
        let port = try FreePort.claim()
        let core = try await loop.submit {
            NIOLoopBound(ProxyCore(loop: loop, port: port, target: target, seed: seed), eventLoop: loop)
        }.get()
        let proxy = FaultProxy(port: port, loop: loop, core: core)
        try await proxy.set(.none)
        return proxy
    }

    private init(port: Int, loop: any EventLoop, core: NIOLoopBound<ProxyCore>) {
        self.port = port
        self.loop = loop
        self.core = core
    }

    /// Puts the link into this state; connections that exist obey it from now on.
    func set(_ fault: LinkFault) async throws {
        let core = core
        try await loop.flatSubmit { core.value.set(fault) }.get()
    }

    /// The link is good again; what was held goes on.
    func heal() async throws { try await set(.none) }

    /// Resets every connection there is.
    func resetConnections() async throws {
        let core = core
        try await loop.submit { core.value.resetConnections() }.get()
    }

    /// From now on, new connections go to another port.
    func retarget(_ port: Int) async throws {
        let core = core
        try await loop.submit { core.value.target = port }.get()
    }

    /// How many connections were accepted since the start.
    func acceptedCount() async throws -> Int {
        let core = core
        return try await loop.submit { core.value.acceptedCount }.get()
    }

    /// How many connections there are.
    func openCount() async throws -> Int {
        let core = core
        return try await loop.submit { core.value.links.count }.get()
    }

    /// Closes the listener and every connection.
    func stop() async {
        let core = core
        do {
            try await loop.flatSubmit { core.value.stop() }.get()
        } catch {
            // It was not listening.
        }
    }
}

/// The proxy's state; confined to its loop.
final class ProxyCore {
    let loop: any EventLoop
    var target: Int
    private(set) var links: [ObjectIdentifier: Link] = [:]
    private(set) var acceptedCount = 0
    private(set) var fault = LinkFault.none
    var random: SeededGenerator
    private let port: Int
    private var listener: (any Channel)?

    init(loop: any EventLoop, port: Int, target: Int, seed: UInt64) {
        self.loop = loop
        self.port = port
        self.target = target
        random = SeededGenerator(seed: seed)
    }

    func set(_ fault: LinkFault) -> EventLoopFuture<Void> {
        self.fault = fault
        if fault.refuses {
            let closed = closeListener()
            resetConnections()
            return closed
        }
        for link in links.values { link.faultChanged() }
        return listener == nil ? listen() : loop.makeSucceededVoidFuture()
    }

    func resetConnections() { for link in links.values { link.reset() } }

    func stop() -> EventLoopFuture<Void> {
        resetConnections()
        return closeListener()
    }

    func forget(_ link: Link) { links[ObjectIdentifier(link)] = nil }

    private func closeListener() -> EventLoopFuture<Void> {
        guard let listener else { return loop.makeSucceededVoidFuture() }
        self.listener = nil
        return listener.close()
    }

    private func listen() -> EventLoopFuture<Void> {
        let bound = NIOLoopBound(self, eventLoop: loop)
        return ServerBootstrap(group: loop)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.backlog, value: 512)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try bound.value.accept(channel) }
            }
            .bind(host: "127.0.0.1", port: port)
            .map { bound.value.listener = $0 }
    }

    private func accept(_ client: any Channel) throws {
        acceptedCount += 1
        let link = Link(core: self, client: client)
        links[ObjectIdentifier(link)] = link
        try client.pipeline.syncOperations.addHandler(Inlet(link: link, way: .toServer))
        let bound = NIOLoopBound(link, eventLoop: loop)
        ClientBootstrap(group: loop)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Inlet(link: bound.value, way: .toClient))
                }
            }
            .connect(host: "127.0.0.1", port: target)
            .whenComplete { result in
                switch result {
                case .success(let server): bound.value.connected(server)
                case .failure: bound.value.reset()
                }
            }
    }
}

/// One connection through the proxy; confined to the proxy's loop.
final class Link {
    private enum Piece {
        case bytes(ByteBuffer)
        case end
    }

    /// One direction: pieces in order, each with the time before which it may not go.
    private struct Pipe {
        var pieces = CircularBuffer<(piece: Piece, due: NIODeadline)>()
        var queuedBytes = 0
        var isFull = false
        var lastDue = NIODeadline.now()
        var timer: Scheduled<Void>?
    }

    /// The most bytes that are held in one direction; then the sender is not read any more.
    private static let maxQueuedBytes = 1 << 20

    private unowned let core: ProxyCore
    private let client: any Channel
    private var server: (any Channel)?
    private var pipes: [Way: Pipe] = [.toServer: Pipe(), .toClient: Pipe()]
    private var bytesToClient = 0
    private var isOver = false

    init(core: ProxyCore, client: any Channel) {
        self.core = core
        self.client = client
    }

    func connected(_ server: any Channel) {
        guard !isOver else {
            server.close(promise: nil)
            return
        }
        self.server = server
        faultChanged()
    }

    func received(_ buffer: ByteBuffer, _ way: Way) {
        var buffer = buffer
        if way == .toClient { corrupt(&buffer) }
        let fault = core.fault
        var delay = TimeAmount.zero
        if fault.delay > .zero, Double.random(in: 0..<1, using: &core.random) < fault.delayShare {
            delay = TimeAmount(fault.delay)
        }
        if let rate = fault.bytesPerSecond {
            delay = delay + .nanoseconds(Int64(buffer.readableBytes) * 1_000_000_000 / Int64(rate))
        }
        let isThrottled = fault.bytesPerSecond != nil
        update(way) { pipe in
            // Under a throttle each piece follows the one before it; under a delay alone all are late by the same.
            let start = isThrottled ? max(.now(), pipe.lastDue) : .now()
            pipe.lastDue = max(start + delay, pipe.lastDue)
            pipe.queuedBytes += buffer.readableBytes
            pipe.pieces.append((.bytes(buffer), pipe.lastDue))
        }
        pump(way)
    }

    func ended(_ way: Way) {
        update(way) { $0.pieces.append((.end, max(.now(), $0.lastDue))) }
        pump(way)
    }

    /// The end that sends this way is gone altogether.
    func lost(_ way: Way) {
        guard !isOver else { return }
        // What it sent before is still delivered, and so is its end: a black hole hides that, too.
        ended(way)
    }

    func faultChanged() { for way in Way.allCases { pump(way) } }

    func reset() {
        over()
        for channel in [client, server].compactMap({ $0 }) {
            // A linger of zero makes the kernel send RST.
            let options = channel as? any SocketOptionProvider
            options?.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenFailure { _ in }  // closed already
            channel.close(promise: nil)
        }
    }

    private func over() {
        guard !isOver else { return }
        isOver = true
        for way in Way.allCases { update(way) { $0.timer?.cancel() } }
        core.forget(self)
    }

    private func update(_ way: Way, _ body: (inout Pipe) -> Void) { body(&pipes[way, default: Pipe()]) }

    private func pump(_ way: Way) {
        guard !isOver, let server else { return }
        let (source, sink) = way == .toServer ? (client, server) : (server, client)
        if !core.fault.holds.contains(way) { deliver(way, to: sink) }
        guard !isOver, let pipe = pipes[way] else { return }
        let isFull = pipe.queuedBytes > Self.maxQueuedBytes
        guard isFull != pipe.isFull else { return }
        update(way) { $0.isFull = isFull }
        source.setOption(.autoRead, value: !isFull).whenFailure { _ in }  // fails on a closed channel only
    }

    private func deliver(_ way: Way, to sink: any Channel) {
        while let (piece, due) = pipes[way]?.pieces.first {
            let wait = due - .now()
            guard wait <= .zero else {
                schedule(way, wait)
                break
            }
            update(way) { $0.pieces.removeFirst() }
            switch piece {
            case .bytes(let buffer):
                update(way) { $0.queuedBytes -= buffer.readableBytes }
                if !write(buffer, way, to: sink) { return }
            case .end:
                end(way, sink)
            }
        }
        sink.flush()
    }

    /// - Returns: false when the connection was cut here.
    private func write(_ buffer: ByteBuffer, _ way: Way, to sink: any Channel) -> Bool {
        guard way == .toClient, let limit = core.fault.cutAfterBytes else {
            if way == .toClient { bytesToClient += buffer.readableBytes }
            sink.write(buffer, promise: nil)
            return true
        }
        var buffer = buffer
        let left = max(0, limit - bytesToClient)
        guard buffer.readableBytes > left else {
            bytesToClient += buffer.readableBytes
            sink.write(buffer, promise: nil)
            return true
        }
        let bound = NIOLoopBound(self, eventLoop: core.loop)
        if let head = buffer.readSlice(length: left), left > 0 {
            sink.writeAndFlush(head).whenComplete { _ in bound.value.reset() }
        } else {
            reset()
        }
        return false
    }

    private func end(_ way: Way, _ sink: any Channel) {
        let source: (any Channel)? = way == .toServer ? client : server
        sink.flush()
        if source?.isActive != true {
            sink.close(promise: nil)
            over()
        } else {
            sink.close(mode: .output, promise: nil)
        }
    }

    private func schedule(_ way: Way, _ wait: TimeAmount) {
        let bound = NIOLoopBound(self, eventLoop: core.loop)
        update(way) { pipe in
            pipe.timer?.cancel()
            pipe.timer = core.loop.scheduleTask(in: wait) { bound.value.pump(way) }
        }
    }

    private func corrupt(_ buffer: inout ByteBuffer) {
        guard core.fault.corruptShare > 0 else { return }
        for index in buffer.readerIndex..<buffer.writerIndex
        where Double.random(in: 0..<1, using: &core.random) < core.fault.corruptShare {
            let byte = buffer.getInteger(at: index, as: UInt8.self) ?? 0
            buffer.setInteger(byte ^ UInt8.random(in: 1...255, using: &core.random), at: index)
        }
    }
}

/// Feeds one side's bytes into its link.
private final class Inlet: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let link: Link
    private let way: Way

    init(link: Link, way: Way) {
        self.link = link
        self.way = way
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { link.received(unwrapInboundIn(data), way) }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed { link.ended(way) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        link.lost(way)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
