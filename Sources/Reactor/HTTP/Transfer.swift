// One request on its way and the answer coming back: what the caller holds of it.

/// Hears of one transfer's answer, always on the Reactor's thread.
///
/// Every method may cancel, pause or resume any transfer and start new ones.
public protocol TransferDelegate: AnyObject {
    /// The final head; interim (1xx) heads are dropped.
    func transfer(_ transfer: Transfer, didReceiveHead head: ResponseHead)
    /// Bytes of the body, as the upstream coded them, borrowed for the call.
    func transfer(_ transfer: Transfer, didReceiveBody bytes: Span<UInt8>)
    /// The end, exactly once, also while paused; never after `cancel()`.
    func transferDidFinish(_ transfer: Transfer, _ outcome: TransferOutcome)
}

/// A transfer in flight.
///
/// Confined to its Reactor. Holds its delegate until the end or ``cancel()``.
public final class Transfer {
    enum State {
        case queued(HTTPClientRequest)
        case active(EasyHandle)
        case ended
    }

    var state: State
    var delegate: (any TransferDelegate)?
    private weak var engine: TransferEngine?

    /// Whether the body is held back.
    ///
    /// The head and the end still come.
    public private(set) var isPaused = false

    init(_ request: HTTPClientRequest, delegate: any TransferDelegate, engine: TransferEngine) {
        state = .queued(request)
        self.delegate = delegate
        self.engine = engine
    }

    /// Whether the transfer has ended or was cancelled.
    public var isEnded: Bool {
        if case .ended = state { true } else { false }
    }

    /// Whether a part of the request may have reached the upstream; to be asked before ``cancel()``.
    public var hasSentRequest: Bool {
        switch state {
        case .queued: false
        case .active(let handle): handle.hasSentRequest
        case .ended: true
        }
    }

    /// Ends the transfer at once and for good: the delegate hears nothing more and is let go.
    ///
    /// Legal in every state, inside every delegate call, and more than once.
    public func cancel() {
        engine?.reactor.preconditionOnReactor()
        delegate = nil
        engine?.cancel(self)
    }

    /// Holds the body back: after this call no more of it is delivered until ``resume()``.
    ///
    /// At most one receive buffer is read ahead; then the connection's window fills and the upstream waits.
    public func pause() { isPaused = true }

    /// Lets the body come again, from the end of this turn on.
    public func resume() {
        guard isPaused else { return }
        isPaused = false
        if case .active(let handle) = state, handle.isHeld { engine?.release(self) }
    }

    /// Tells the delegate the end, once.
    func end(_ outcome: TransferOutcome) {
        state = .ended
        guard let delegate else { return }
        self.delegate = nil
        delegate.transferDidFinish(self, outcome)
    }
}
