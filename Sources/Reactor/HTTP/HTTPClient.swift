// The upstream client of one Reactor, as its users see it; TransferEngine does the work.

/// HTTP transfers on one ``Reactor``.
///
/// Confined to its Reactor. Connections are kept and reused within one isolation value.
public final class HTTPClient {
    private let engine: TransferEngine

    /// Makes a client; it shuts down with its Reactor.
    public init(reactor: Reactor, limits: HTTPClientLimits = HTTPClientLimits()) {
        engine = TransferEngine(reactor: reactor, limits: limits)
    }

    deinit { engine.shutDown() }

    /// Transfers that are queued or in flight.
    public var activeCount: Int { engine.activeCount }

    /// Sends a request; its answer goes to the delegate, from the end of this turn on.
    ///
    /// After ``shutDown()`` the transfer is over before this returns, and its delegate has heard so.
    ///
    /// - Parameters:
    ///   - request: what to send; one that cannot be sent fails the transfer, as everything else does.
    ///   - delegate: held until the transfer ends or is cancelled.
    /// - Returns: the transfer, to pause or cancel.
    public func start(_ request: HTTPClientRequest, delegate: any TransferDelegate) -> Transfer {
        engine.start(request, delegate: delegate)
    }

    /// Fails every transfer and closes every connection; later transfers fail too.
    ///
    /// Not inside a delegate's call.
    public func shutDown() { engine.shutDown() }
}
