// Stage 8: the post-checks and the one usage record that every metered request leaves, however it ended.

import LLMWire
import Ledger
import Logging
import Policy
import Reactor
import Snapshot
import Telemetry
import Tokens

extension Exchange {
    /// Writes the record of a request that was forwarded, or stopped by a shared limit.
    func record(_ summary: UpstreamSummary) {
        review(summary)
        learn(summary)
        if attempts.count > 1 {
            worker.logger.info(
                "answered after other attempts",
                metadata: logFields([
                    "attempts": "\(attempts.count)", "provider": "\(route?.provider.name ?? "")",
                    "status": "\(clientStatus)",
                ])
            )
        }
        let outcome: UsageRecord.Outcome =
            switch summary.end {
            case .refused: .refused
            case .complete: clientLeft ? .clientGone : .completed
            case .cancelled: clientLeft ? .clientGone : .interrupted
            case .failed(let failure): UpstreamTrouble.isTimeout(failure) ? .timedOut : .upstreamFailed
            }
        write(outcome, usage: summary.usage, summary: summary)
    }

    /// Writes the record of a request that was answered here and never left.
    func recordAnsweredHere() {
        guard refusal != nil else { return }
        write(.refused, usage: TokenUsage(), summary: nil)
    }

    /// Writes the record of a request that was admitted and had no provider to go to.
    func recordUnanswered() { write(.upstreamFailed, usage: TokenUsage(), summary: nil) }

    /// A refusal on the head alone, before the exchange ran.
    func noteEarlyRefusal(_ refusal: Refusal, by rule: Rule, status: Int) {
        note(refusal, by: rule, status: status)
        recordAnsweredHere()
    }

    /// What the provider bills corrects how the next prompts are counted.
    private func learn(_ summary: UpstreamSummary) {
        guard summary.source == .provider, let billed = summary.usage.prompt, let route,
            let prompt = request?.prompt, let counted = prompt.count
        else { return }
        active.calibrations[route.index].learn(counted: counted.tokens, by: prompt.factorPermille, billed: billed)
    }

    /// Rules that look at what was really used: logged and counted, the answer is long gone.
    private func review(_ summary: UpstreamSummary) {
        guard let request, summary.source == .provider || summary.source == .estimated else { return }
        let usage = SettledUsage(
            promptTokens: Int64(summary.usage.prompt ?? 0),
            completionTokens: Int64(summary.usage.completion ?? 0),
            totalTokens: Int64(summary.usage.total ?? 0)
        )
        for rule in key.rules {
            guard let violation = rule.program.review(usage, request) else { continue }
            worker.counters.violations.add()
            worker.logger.warning(
                "limit passed by the answer",
                metadata: logFields([
                    "policy": "\(String(decoding: rule.policyID, as: UTF8.self))", "kind": "\(rule.kind)",
                    "measure": "\(violation.measure.name)",
                    "limit": "\(violation.limit)", "got": "\(violation.got)",
                ])
            )
        }
    }

    private func write(_ outcome: UsageRecord.Outcome, usage: TokenUsage, summary: UpstreamSummary?) {
        worker.counters.finished(outcome)
        let ended = MonotonicTime.now
        tell(summary.map { RequestEnding(outcome, $0) } ?? RequestEnding(outcome), ended: ended)
        let prompt = Int64(usage.prompt ?? 0)
        let completion = Int64(usage.completion ?? 0)
        worker.agent.record(
            UsageRecord(
                requestID: requestID,
                startedAt: startedMilliseconds,
                finishedAt: WallClock.milliseconds,
                organisation: key.app.organisation,
                appID: key.app.id,
                keyID: key.id,
                model: request.map { String(decoding: $0.model, as: UTF8.self) } ?? "",
                providerID: route?.provider.id ?? "",
                upstreamModel: route.map { String(decoding: $0.upstreamModel, as: UTF8.self) } ?? "",
                endpoint: endpoint.rawValue,
                status: UInt16(clamping: clientStatus),
                outcome: outcome,
                isStream: isStream,
                promptTokens: prompt,
                completionTokens: completion,
                totalTokens: Int64(usage.total ?? 0),
                cachedTokens: Int64(usage.cached ?? 0),
                cacheWriteTokens: Int64(usage.cacheWrite ?? 0),
                reasoningTokens: Int64(usage.reasoning ?? 0),
                source: summary?.source ?? .none,
                requestBytes: Int64(requestBytes),
                responseBytes: Int64(summary?.bodyBytes ?? 0),
                latencyMicroseconds: Int64((ended.nanoseconds - started.nanoseconds) / 1_000),
                firstByteMicroseconds: summary?.firstByteMicroseconds ?? 0,
                refusedBy: refusal.map { String(decoding: $0.rule.policyID, as: UTF8.self) },
                reason: refusal.map { Self.reason($0.refusal) },
                snapshotVersion: active.policies.version,
                explanation: explanation?.text()
            )
        )
    }

    /// The refusal in words of ours and figures: what an admin finds by the request id.
    private static func reason(_ refusal: Refusal) -> String {
        "\(refusal.reason.name)"
            + (refusal.limit.map { " limit=\($0)" } ?? "")
            + (refusal.got.map { " got=\($0)" } ?? "")
    }

    /// The fields that every log line about a request carries; never text of the client's but its checked request id.
    func logFields(_ fields: Logger.Metadata) -> Logger.Metadata {
        var all = fields.merging(
            ["request_id": "\(requestID)", "app": "\(key.app.id)", "key": "\(key.id)"]
        ) { own, _ in own }
        if let trace {
            all["trace_id"] = "\(trace.context.traceID)"
            all["span_id"] = "\(trace.context.spanID)"
        }
        return all
    }
}
