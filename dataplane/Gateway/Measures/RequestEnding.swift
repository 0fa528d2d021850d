// The end of a request, told once: to the metrics, to its trace, and in one line of the access log.

import LLMWire
import Ledger
import Logging
import Policy
import Reactor
import Snapshot
import Telemetry

/// How a request ended.
struct RequestEnding {
    var outcome: UsageRecord.Outcome
    var usage = TokenUsage()
    var source = UsageRecord.Source.none
    var times = UpstreamTimes()
    var responseBytes = 0
    /// Why it failed at its provider, of few values; nil when it did not.
    var error: String?

    /// Of a request that never left.
    init(_ outcome: UsageRecord.Outcome) { self.outcome = outcome }

    init(_ outcome: UsageRecord.Outcome, _ summary: UpstreamSummary) {
        self.outcome = outcome
        usage = summary.usage
        source = summary.source
        times = summary.times
        responseBytes = summary.bodyBytes
        switch summary.end {
        case .failed(let failure): error = AttemptFailure(failure)?.reason.rawValue ?? "other"
        case .complete where summary.upstreamStatus >= 400: error = Self.name(ofStatus: summary.upstreamStatus)
        // Its duration says nothing of the provider's.
        case .cancelled: error = outcome.name
        case .complete, .refused: error = nil
        }
    }

    /// A provider may answer any number; only the usual ones are told apart.
    private static func name(ofStatus status: Int) -> String {
        switch status {
        case 400, 401, 402, 403, 404, 408, 409, 413, 415, 422, 424, 429, 500, 501, 502, 503, 504, 529: "\(status)"
        case ..<500: "4xx"
        default: "5xx"
        }
    }
}

extension Exchange {
    /// Tells the end; `ended` is the moment that the usage record has, too.
    func tell(_ ending: RequestEnding, ended: MonotonicTime) {
        let measures = worker.measures
        let isException = ending.outcome != .completed || clientStatus >= 500
        if measures.isOn {
            measure(ending, ended: ended.nanoseconds)
            traceEnd(ending, isException: isException, ended: ended.nanoseconds)
        }
        // Nothing of the line is made when nobody reads it.
        let level: Logger.Level = isException ? .info : .debug
        measures.accessLogger.log(level: level, "request", metadata: line(ending, ended: ended.nanoseconds))
    }

    private func measure(_ ending: RequestEnding, ended: UInt64) {
        let measures = worker.measures
        let exemplar = trace?.context
        if marks.decided > marks.bodyRead { measures.policyCheck.record(marks.decided - marks.bodyRead) }
        if ending.times.reserved > ending.times.reserving {
            measures.reserve.record(ending.times.reserved - ending.times.reserving)
        }
        if marks.bodyRead > 0, ending.outcome != .clientGone {
            let whole = ended > marks.bodyRead ? ended - marks.bodyRead : 0
            let waited = ending.times.waited
            measures.overhead.record(whole > waited ? whole - waited : 0, exemplar: exemplar)
        }
        guard let route, ending.times.last.sent > 0 else { return }
        measures.models.record(
            model: plan?.model,
            route: route,
            endpoint: endpoint,
            isStream: isStream,
            times: ending.times,
            usage: ending.usage,
            error: ending.error,
            exemplar: exemplar
        )
    }

    /// What an operator wants to know of one request, and nothing that its client wrote but ids that were checked.
    private func line(_ ending: RequestEnding, ended: UInt64) -> Logger.Metadata {
        var fields = logFields([
            "organisation": "\(key.app.organisation)", "endpoint": "\(endpoint.path)", "status": "\(clientStatus)",
            "outcome": "\(ending.outcome.name)",
            "decision": "\(ending.outcome == .refused ? "refuse" : "allow")",
            "total_ms": .milliseconds(ended &- started.nanoseconds),
            "request_bytes": "\(requestBytes)", "response_bytes": "\(ending.responseBytes)",
            "snapshot_version": "\(active.policies.version)",
        ])
        if let plan { fields["model"] = "\(plan.model.name)" }
        if let route {
            fields["provider"] = "\(route.provider.name)"
            fields["upstream_model"] = "\(route.upstreamModelText)"
        }
        if let refusal { fields.merge(refusalFields(refusal.refusal, refusal.rule)) { $1 } }
        if let error = ending.error { fields["error"] = "\(error)" }
        if attempts.count > 1 { fields["attempts"] = "\(attempts.count)" }
        if isStream { fields["stream"] = "true" }
        if let tokens = ending.usage.total {
            fields["total_tokens"] = "\(tokens)"
            fields["prompt_tokens"] = "\(ending.usage.prompt ?? 0)"
            fields["completion_tokens"] = "\(ending.usage.completion ?? 0)"
            fields["tokens_source"] = "\(ending.source)"
        }
        guard worker.measures.isOn else { return fields }
        if marks.decided > 0 { fields["policy_ms"] = .milliseconds(marks.decided &- marks.bodyRead) }
        if ending.times.reserved > 0 {
            fields["reserve_ms"] = .milliseconds(ending.times.reserved &- ending.times.reserving)
        }
        if ending.times.last.sent > 0 {
            fields["upstream_ms"] = .milliseconds(ending.times.waited)
            let last = ending.times.last
            if last.firstByte > 0 { fields["first_byte_ms"] = .milliseconds(last.firstByte &- last.sent) }
        }
        return fields
    }
}

extension Logger.MetadataValue {
    /// A duration with three decimals: what people compare.
    fileprivate static func milliseconds(_ nanoseconds: UInt64) -> Logger.MetadataValue {
        let micro = Int64(bitPattern: nanoseconds) / 1_000
        return .stringConvertible(Double(max(micro, 0)) / 1_000)
    }
}
