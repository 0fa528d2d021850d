// One request on its client's event loop: what was decided, what came back, and how it ended.

import CEL
import LLMWire
import Ledger
import Limits
import Logging
import NIOCore
import NIOHTTP1
import Policy
import Reactor
import Snapshot
import Telemetry

/// A metered request, from its key being known to its usage record; confined to its worker's loop.
final class Exchange {
    /// Whose answer it is, as `x-weir-origin` tells.
    enum Origin: String { case policy, upstream, gateway }

    let id: ExchangeID
    let endpoint: Endpoint
    let requestID: String
    let fields: RequestFields
    /// "Name: value" lines of the client's that go on to the provider.
    let forwarded: [String]
    let key: EnforcedKey
    let active: ActiveSnapshot
    let worker: Worker
    let started: MonotonicTime = .now
    let startedMilliseconds = WallClock.milliseconds

    /// The connection that waits for the answer; nil when it has one, or is gone.
    private(set) var handler: RequestHandler?
    var request: PolicyRequest?
    /// The model's routes that have not failed yet.
    var plan: RoutePlan?
    /// Where the last attempt went.
    var route: EnforcedRoute?
    var attempts = Attempts()
    var claims: [LimitClaim] = []
    var isStream = false
    var marks = RequestMarks()
    /// Its place in its trace; nil when nobody wants traces.
    var trace: RequestTrace?
    private(set) var requestBytes = 0
    private(set) var clientStatus = 0
    private(set) var clientLeft = false
    private(set) var refusal: (rule: Rule, refusal: Refusal)?
    /// What each rule said; of a refused request only.
    private(set) var explanation: Explanation?
    private var limitHeaders: [(name: String, value: String)] = []
    private var passesEventStream = false
    private var uncreditedBytes = 0

    init(
        id: ExchangeID,
        endpoint: Endpoint,
        requestID: String,
        fields: RequestFields,
        forwarded: [String],
        trace: RequestTrace?,
        key: EnforcedKey,
        active: ActiveSnapshot,
        handler: RequestHandler,
        worker: Worker
    ) {
        self.id = id
        self.endpoint = endpoint
        self.requestID = requestID
        self.fields = fields
        self.forwarded = forwarded
        self.trace = trace
        self.key = key
        self.active = active
        self.handler = handler
        self.worker = worker
    }

    func bodyIsWhole(_ body: [UInt8]) {
        requestBytes = body.count
        marks.bodyRead = worker.measures.stamp()
    }

    // MARK: Events from the Reactor

    func receive(_ event: UpstreamEvent) {
        if let reservation = event.reservation { note(reservation) }
        if let failure = event.failure { Forward.again(after: failure, self) }
        if let head = event.head { begin(head) }
        if let body = event.body { pass(body) }
        guard let summary = event.summary else {
            handler?.flush()
            if event.body != nil, handler?.isWritable ?? false { creditUpstream() }
            return
        }
        end(summary)
    }

    private func note(_ reservation: Reservation) {
        switch reservation {
        case .admitted(let states):
            limitHeaders = RateLimitHeaders.make(endpoint.dialect, claims: claims, states: states)
        case .refused(let index, let states, let decider):
            let claim = claims[index]
            let hint = RetryAfter(claims: claims, states: states)
            limitHeaders = RateLimitHeaders.make(endpoint.dialect, claims: claims, states: states)
            limitHeaders += LimitRefusal.headers(hint)
            worker.counters.limitViolations.add()
            explain()
            explanation?.limits = zip(claims, states).map { LimitVerdict($0, $1, rule: key.rules[$0.rule], decider) }
            let refusal = Refusal(claim, at: states[index], decider)
            refuse(refusal, by: key.rules[claim.rule], with: LimitRefusal.error(claim, hint))
        case .unavailable(let index):
            limitHeaders = LimitRefusal.unavailableHeaders
            let claim = claims[index]
            let refusal = Refusal(.countersUnavailable, limit: claim.capacity)
            explain()
            explanation?.overrule(claim.rule, key.rules[claim.rule], refusal)
            note(refusal, by: key.rules[claim.rule], status: ClientError.unavailable.status)
            // The client is within its limits as far as anybody knows: not the policy's word, but ours.
            answer(.unavailable, origin: .gateway)
        }
    }

    private func begin(_ head: UpstreamHead) {
        guard let handler else { return }
        guard head.status != 401, head.status != 403, attempts.lastFailure?.reason != .credential else {
            // It speaks of our credential, not of the client's, whose SDK would call a working key invalid.
            worker.logger.error(
                "provider refused our credential",
                metadata: logFields(["status": "\(head.status)", "provider": "\(route?.provider.name ?? "")"])
            )
            worker.send(.cancel(id))
            answer(.badGateway, origin: .gateway)
            return
        }
        var headers = responseHeaders(origin: .upstream)
        for (name, value) in head.headers { headers.add(name: name, value: value) }
        passesEventStream = head.isEventStream
        clientStatus = head.status
        handler.begin(status: head.status, headers)
    }

    private func pass(_ body: ByteBuffer) {
        guard let handler else { return }
        uncreditedBytes += body.readableBytes
        handler.write(body)
    }

    /// The client took what was written: the provider may send more.
    func creditUpstream() {
        // Below a quarter of the bound nobody waits for the credit, so small answers cost no message.
        guard uncreditedBytes >= worker.bounds.maxUnsentBytes / 4 else { return }
        worker.send(.credit(id, bytes: uncreditedBytes))
        uncreditedBytes = 0
    }

    private func end(_ summary: UpstreamSummary) {
        switch summary.end {
        case .complete: release()?.end()
        case .failed(let failure): tell(failure, summary)
        case .refused, .cancelled: break  // whoever refused or cancelled has answered
        }
        record(summary)
    }

    private func tell(_ failure: TransferFailure, _ summary: UpstreamSummary) {
        worker.logger.warning(
            "upstream failed",
            metadata: logFields(["reason": "\(failure.reason)", "detail": "\(failure.detail)"])
        )
        guard clientStatus != 0 else {
            answer(UpstreamTrouble.error(for: failure), origin: .gateway)
            return
        }
        cutAnswer(.interrupted, isAtEventBoundary: summary.isAtEventBoundary, sequence: summary.nextSequenceNumber)
    }

    /// Ends an answer that has begun and cannot be finished: too late for a status, so an error in the stream's own
    /// words, then a cut that no client takes for a clean end.
    private func cutAnswer(_ error: ClientError, isAtEventBoundary: Bool, sequence: Int) {
        guard let handler = release() else { return }
        if passesEventStream {
            let blank: [UInt8] = isAtEventBoundary ? [] : Array("\n\n".utf8)
            let event = error.eventStreamError(
                endpoint: endpoint,
                requestID: Array(requestID.utf8),
                sequenceNumber: sequence
            )
            handler.write(ByteBuffer(bytes: blank + event))
        }
        handler.abort()
    }

    // MARK: Answers of our own

    /// A policy's no: recorded with what was compared, told to the client in general words.
    func refuse(_ refusal: Refusal, by rule: Rule, with error: ClientError) {
        note(refusal, by: rule, status: error.status)
        // The same request will be refused again, which SDKs do not guess from a 429.
        let isFinal = refusal.reason == .promptTooLong || refusal.reason == .outputCapTooHigh
        if isFinal { limitHeaders.append(("x-should-retry", "false")) }
        answer(error, origin: .policy)
    }

    /// Asks every rule what it says, for who asks why later; a second time, which only refusals pay for.
    func explain() {
        guard let request else { return }
        explanation = Explanation(of: key.rules, asking: request)
    }

    /// Keeps and counts a refusal; the caller answers, and the line of the access log tells it.
    func note(_ refusal: Refusal, by rule: Rule, status: Int) {
        self.refusal = (rule, refusal)
        clientStatus = status
        if explanation == nil { explanation = Explanation(refusedBy: rule, refusal) }
        worker.counters.refused(refusal.reason)
    }

    /// A rule's no that does not count: it is in shadow mode, or could not be evaluated and fails open.
    func noteNotRefused(_ refusal: Refusal, by rule: Rule) {
        let isShadow = rule.mode == .shadow
        (isShadow ? worker.counters.shadowed : worker.counters.failedRules).add()
        worker.logger.info(
            isShadow ? "would refuse" : "rule failed, allowed by its policy",
            metadata: refusalFields(refusal, rule)
        )
    }

    func refusalFields(_ refusal: Refusal, _ rule: Rule) -> Logger.Metadata {
        var fields: Logger.Metadata = [
            "policy": "\(String(decoding: rule.policyID, as: UTF8.self))", "kind": "\(rule.kind)",
            "reason": "\(refusal.reason.name)",
        ]
        if let limit = refusal.limit { fields["limit"] = "\(limit)" }
        if let got = refusal.got { fields["got"] = "\(got)" }
        if let failure = refusal.failure {
            fields["failure"] = "\(failure.reason.message)"
            fields["offset"] = "\(failure.offset)"
        }
        return logFields(fields)
    }

    func answer(_ error: ClientError, origin: Origin) {
        guard let handler = release() else { return }
        clientStatus = error.status
        handler.answer(error, endpoint.dialect, responseHeaders(origin: origin), requestID: requestID)
    }

    private func responseHeaders(origin: Origin) -> HTTPHeaders {
        var headers = RequestHandler.identityHeaders(endpoint.dialect, requestID: requestID, origin: origin)
        for (name, value) in limitHeaders { headers.add(name: name, value: value) }
        return headers
    }

    /// Refuses what nothing is recorded of: it could not be read, or names no model that there is.
    func refuseUnmetered(_ error: ClientError) {
        answer(error, origin: .gateway)
        tell(RequestEnding(.refused), ended: .now)
    }

    /// No provider can be asked at the moment; `seconds` tells when one may be.
    func answerUnavailable(retryAfterSeconds seconds: Int) {
        limitHeaders.append(("retry-after", String(seconds)))
        answer(.unavailable, origin: .gateway)
    }

    /// Whether the client still waits for an answer.
    var isAwaited: Bool { handler != nil }

    /// The connection, which from here on has nothing more to expect of this request.
    private func release() -> RequestHandler? {
        defer { handler = nil }
        return handler
    }

    // MARK: Early endings

    /// The client left: what runs upstream is stopped and settled; the record follows with the summary.
    func clientDidLeave() {
        clientLeft = true
        handler = nil
        worker.send(.cancel(id))
    }

    /// The node's drain is over.
    func cut() {
        if clientStatus == 0 {
            answer(.unavailable, origin: .gateway)
        } else {
            cutAnswer(.interrupted, isAtEventBoundary: false, sequence: 0)
        }
        worker.send(.cancel(id))
    }
}
