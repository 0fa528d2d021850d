// Counts what a client puts on the wire for one request, chunk framing included, which the HTTP decoder hides.

import NIOCore

/// The first handler behind TLS: closes a connection whose request is larger on the wire than any honest one.
final class WireMeter: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    /// Head, chunk sizes and trailers; an honest chunked body frames 16 bytes or more with 8 of its own.
    private static let overhead = 128 << 10

    private var remaining: Int

    init() { remaining = Self.overhead }

    /// A new request: its body may be `body` bytes long.
    func allow(body: Int) {
        remaining = body + body / 2 + Self.overhead
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        remaining -= Self.unwrapInboundIn(data).readableBytes
        guard remaining >= 0 else {
            context.close(promise: nil)
            return
        }
        context.fireChannelRead(data)
    }
}
