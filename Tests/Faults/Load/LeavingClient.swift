// A client that goes away in the middle of its request, with a FIN or a reset.

import Glibc
import NIOCore
import NIOPosix
import Stack

/// Sends one request and leaves.
enum LeavingClient {
    /// Sends, stays for a while, and leaves with a FIN or a reset.
    static func send(
        _ app: FaultApp,
        to port: Int,
        isStream: Bool,
        leavingAfter patience: Duration,
        reset: Bool
    ) async throws {
        let channel = try await ClientBootstrap(group: FaultProxy.loops).connect(host: "127.0.0.1", port: port).get()
        let body = """
            {"model":"load","messages":[{"role":"user","content":"\(CountingProvider.mark)\(app.id) \
            \(patience)"}],"stream":\(isStream)}
            """
        let head = """
            POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer \(app.key)\r\n\
            content-type: application/json\r\ncontent-length: \(body.utf8.count)\r\n\r\n
            """
        try await channel.writeAndFlush(ByteBuffer(string: head + body)).get()
        await pause(for: patience)
        if reset, let options = channel as? any SocketOptionProvider {
            try await options.setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
        }
        do {
            try await channel.close().get()
        } catch {
            // The node closed first.
        }
    }
}
