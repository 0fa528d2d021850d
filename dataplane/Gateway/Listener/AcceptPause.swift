// Keeps a node that is out of descriptors from spinning on its listener: NIO goes on asking for connections that cannot
// be accepted, as fast as the loop turns, and the loop's clients pay for it.

private import Glibc
import NIOCore

/// Stops accepting for a moment after an accept that failed for want of resources.
///
/// NIO leaves the listener registered for reading after such a failure, so that epoll reports it again at once; its
/// `AcceptBackoffHandler` delays reads and cannot take that registration back. Switching reads off does.
final class AcceptPause: ChannelInboundHandler {
    typealias InboundIn = any Channel

    /// Long enough to cost nothing, short enough that clients see a slow connect only.
    private static let pause = TimeAmount.milliseconds(100)

    private let onFailure: @Sendable () -> Void

    /// Makes the handler of a listener.
    ///
    /// - Parameter onFailure: counts an accept that failed; called on the listener's loop.
    init(onFailure: @escaping @Sendable () -> Void) { self.onFailure = onFailure }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let code = (error as? IOError)?.errnoCode, Self.isWantOfResources(code) else {
            context.fireErrorCaught(error)
            return
        }
        onFailure()
        let channel = context.channel
        Self.setReads(of: channel, to: false)
        context.eventLoop.assumeIsolated().scheduleTask(in: Self.pause) { Self.setReads(of: channel, to: true) }
    }

    private static func setReads(of channel: any Channel, to value: Bool) {
        do {
            try channel.syncOptions?.setOption(.autoRead, value: value)
        } catch {
            return  // a listener that a drain has closed meanwhile reads nothing anyway
        }
    }

    private static func isWantOfResources(_ code: CInt) -> Bool {
        switch code {
        case EMFILE, ENFILE, ENOBUFS, ENOMEM: true
        default: false
        }
    }
}
