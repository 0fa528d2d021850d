// What crosses between a client's event loop and the Reactor paired with it.

import LLMWire
import Ledger
import Limits
import NIOCore
import Policy
import Reactor

/// Names a request within its worker; never reused.
typealias ExchangeID = UInt64

/// From the event loop to the Reactor.
enum UpstreamCommand: Sendable {
    case forward(ForwardJob)
    /// Another attempt at a request whose last one failed.
    case attempt(ExchangeID, UpstreamAttempt)
    /// There is no other attempt: what the last one brought is the answer.
    case giveUp(ExchangeID)
    /// The client took so many bytes of the answer.
    case credit(ExchangeID, bytes: Int)
    /// The client is gone, or the node is: stop, settle, and say what was used.
    case cancel(ExchangeID)
}

/// One admitted request on its way out.
struct ForwardJob: Sendable {
    let id: ExchangeID
    /// The hash slot of its counters.
    let appID: [UInt8]
    /// What to reserve before a byte leaves; empty when Redis is not needed.
    let claims: [LimitClaim]
    let attempt: UpstreamAttempt
    let endpoint: Endpoint
    /// Tokens of the prompt when the provider will not say.
    let promptEstimate: Int
}

/// One try of a request at one provider.
struct UpstreamAttempt: Sendable {
    let request: HTTPClientRequest
    /// We asked for usage and the client did not: its chunk must not reach the client.
    let stripsUsage: Bool
    /// Whom the attempt's end is reported to.
    let health: ProviderHealth
    let admission: AttemptAdmission
}

/// From the Reactor to the event loop: all that happened to one request in one turn.
struct UpstreamEvent: Sendable {
    let id: ExchangeID
    var reservation: Reservation?
    /// An attempt failed before anything of it was passed on; the event loop says what follows.
    var failure: AttemptFailure?
    var head: UpstreamHead?
    var body: ByteBuffer?
    var summary: UpstreamSummary?
}

/// What became of the limits.
enum Reservation: Sendable {
    case admitted([LimitState])
    /// By Redis, or by this node's share of the limit.
    case refused(claim: Int, [LimitState], LimitDecider)
    /// Redis is out, and the rule of this claim admits nothing without it.
    case unavailable(claim: Int)
}

/// A provider's answer so far as the client may see it.
struct UpstreamHead: Sendable {
    let status: Int
    /// In the provider's order; hop-by-hop and account headers are gone.
    let headers: [(name: String, value: String)]
    let isEventStream: Bool
}

/// How a request ended, said exactly once.
struct UpstreamSummary: Sendable {
    enum End: Sendable, Equatable {
        /// The provider's whole answer was passed on.
        case complete
        /// The limits said no; nothing was sent.
        case refused
        /// The client left or the node drains.
        case cancelled
        /// The provider failed.
        case failed(TransferFailure)
    }

    let end: End
    /// Where an error event of ours would stand in a Responses stream.
    let nextSequenceNumber: Int
    /// Whether such an event may follow at once.
    let isAtEventBoundary: Bool
    let usage: TokenUsage
    let source: UsageRecord.Source
    let firstByteMicroseconds: Int64
    let upstreamStatus: Int
    let bodyBytes: Int
    let times: UpstreamTimes
}
