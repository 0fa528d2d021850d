// What stands between a client's socket and the pipeline: TLS, the wire meter, NIO's HTTP/1.1 and our bounds on it.

import NIOCore
import NIOHTTP1
import NIOSSL

/// Builds the handlers of a client's channel.
enum ChannelSetup {
    /// Runs on the channel's loop.
    static func addHandlers(to channel: any Channel, worker: Worker, tls: NIOSSLContext?) throws {
        let handlers = channel.pipeline.syncOperations
        if let tls { try handlers.addHandler(NIOSSLServerHandler(context: tls)) }
        let meter = WireMeter()
        try handlers.addHandler(meter)
        // NIO's own bounds are 2 MiB and 256 fields (RELIABILITY, "what matters most", 1).
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = worker.bounds.maxHeaderBytes
        limits.maxHeaderListSize = worker.bounds.maxHeaderBytes
        limits.maxHeaderFieldCount = worker.bounds.maxHeaderFields
        let decoder = HTTPRequestDecoder(
            leftOverBytesStrategy: .dropBytes,
            informationalResponseStrategy: .drop,
            limitConfiguration: limits
        )
        try handlers.addHandler(HTTPResponseEncoder())
        try handlers.addHandler(ByteToMessageHandler(decoder))
        try handlers.addHandler(RequestHandler(worker: worker, meter: meter))
    }
}
