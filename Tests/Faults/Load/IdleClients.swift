// Clients that connect and then say little or nothing, or do not read: what a node must hold, or turn away, without harm.

import NIOCore
import NIOPosix

/// Open connections without a whole request.
final class IdleClients: Sendable {
    private let channels: [any Channel]

    /// Opens so many; those that are refused or not accepted yet do not count as failures.
    static func connect(_ count: Int, to port: Int, isReading: Bool = true) async throws -> IdleClients {
        var waiting: [EventLoopFuture<any Channel>] = []
        for _ in 0..<count {
            waiting.append(
                ClientBootstrap(group: FaultProxy.loops)
                    .connectTimeout(.seconds(5))
                    .channelOption(.autoRead, value: isReading)
                    // What a reader that stopped lets the kernel take for it.
                    .channelOption(.socketOption(.so_rcvbuf), value: 65_536)
                    .connect(host: "127.0.0.1", port: port)
            )
        }
        let loop = FaultProxy.loops.next()
        let results = try await EventLoopFuture.whenAllComplete(waiting, on: loop).get()
        return IdleClients(
            results.compactMap { result in
                switch result {
                case .success(let channel): channel
                case .failure: nil
                }
            }
        )
    }

    private init(_ channels: [any Channel]) { self.channels = channels }

    /// How many the node has not closed.
    var openCount: Int { channels.count { $0.isActive } }

    /// Sends the same on each that is still open.
    func write(_ text: String) async {
        for channel in channels where channel.isActive {
            channel.writeAndFlush(ByteBuffer(string: text), promise: nil)
        }
    }

    /// Closes them.
    func close() async {
        for channel in channels { channel.close(promise: nil) }
    }
}
