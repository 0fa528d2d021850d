// A request's place in its trace, and its spans, which are made when it is over and only if they will be kept.

import LLMWire
import Ledger
import Policy
import Reactor
import Snapshot
import Telemetry

/// A request in a trace.
struct RequestTrace {
    /// The server span's own ids.
    let context: TraceContext
    /// The client's span.
    let parent: SpanID?
    /// The span of the attempt that is under way; of a request that is sampled.
    var attempt: SpanID?
    /// Attempts that failed, in order.
    var failed: [(route: EnforcedRoute, span: SpanID?)] = []

    /// The attempt under way failed, and another may follow.
    mutating func fail(_ route: EnforcedRoute) {
        failed.append((route, attempt))
        attempt = nil
    }
}

extension Exchange {
    /// The body was understood; for a trace only, since it costs a look at the clock.
    func noteScanned() {
        guard trace?.context.isSampled == true else { return }
        marks.scanned = worker.measures.stamp()
    }

    /// Gives the attempt that is about to be made a span.
    ///
    /// - Returns: the context that goes with it to the provider; nil when the request is not sampled, and the provider
    ///   gets what the client sent.
    func beginAttemptSpan() -> TraceContext? {
        guard let context = trace?.context, context.isSampled else { return nil }
        let span = worker.measures.makeSpanID()
        trace?.attempt = span
        return TraceContext(traceID: context.traceID, spanID: span, isSampled: true, state: context.state)
    }
}

extension Exchange {
    /// Makes the spans of a request that is over, if they are to be kept.
    ///
    /// - Parameters:
    ///   - ending: how it ended.
    ///   - isException: it was refused or failed, which is recorded whatever the sampler said.
    ///   - ended: now.
    func traceEnd(_ ending: RequestEnding, isException: Bool, ended: UInt64) {
        guard let trace, let queue = worker.measures.telemetry.spans else { return }
        guard trace.context.isSampled || (isException && queue.admitsException(now: ended)) else { return }
        let offset = UnixTime.offset()
        func unix(_ stamp: UInt64) -> UInt64 { stamp &+ offset }
        let server = TraceSpan(
            name: "POST \(endpoint.path)",
            kind: .server,
            context: sampled(trace.context),
            parent: trace.parent,
            start: unix(started.nanoseconds),
            end: unix(ended),
            attributes: serverAttributes(ending),
            events: events(ending, unix),
            status: clientStatus >= 500 || ending.outcome == .interrupted ? .error(ending.outcome.name) : .unset
        )
        queue.offer([server] + attemptSpans(trace, ending, unix))
    }

    private func sampled(_ context: TraceContext) -> TraceContext {
        TraceContext(traceID: context.traceID, spanID: context.spanID, isSampled: true, state: context.state)
    }

    private func serverAttributes(_ ending: RequestEnding) -> [TraceSpan.Attribute] {
        var attributes: [TraceSpan.Attribute] = [
            .init("http.request.method", .string("POST")), .init("http.route", .string("\(endpoint.path)")),
            .init("url.path", .string("\(endpoint.path)")),
            .init("url.scheme", .string(worker.measures.scheme.rawValue)),
            .init("http.request.body.size", .int(Int64(requestBytes))),
            .init("weir.request_id", .string(requestID)), .init("weir.app", .string(key.app.id)),
            .init("weir.key", .string(key.id)), .init("weir.outcome", .string(ending.outcome.name)),
            .init("weir.snapshot.version", .int(Int64(clamping: active.policies.version))),
        ]
        // None was sent to a client that left before.
        if clientStatus > 0 { attributes.append(.init("http.response.status_code", .int(Int64(clientStatus)))) }
        if clientStatus >= 500 { attributes.append(.init("error.type", .string("\(clientStatus)"))) }
        // A name that the configuration has; what clients call models that there are not is theirs.
        if let plan { attributes.append(.init("gen_ai.request.model", .string(plan.model.name))) }
        if let refusal { attributes += Self.attributes(of: refusal.refusal, by: refusal.rule) }
        return attributes
    }

    private static func attributes(of refusal: Refusal, by rule: Rule) -> [TraceSpan.Attribute] {
        var attributes: [TraceSpan.Attribute] = [
            .init("weir.policy", .string(String(decoding: rule.policyID, as: UTF8.self))),
            .init("weir.policy.kind", .string("\(rule.kind)")), .init("weir.reason", .string("\(refusal.reason.name)")),
        ]
        if let limit = refusal.limit { attributes.append(.init("weir.limit", .int(limit))) }
        if let got = refusal.got { attributes.append(.init("weir.got", .int(got))) }
        return attributes
    }

    /// Scan, decide, reserve and settle, each with what came of it.
    private func events(_ ending: RequestEnding, _ unix: (UInt64) -> UInt64) -> [TraceSpan.Event] {
        var events: [TraceSpan.Event] = []
        if marks.scanned > 0 {
            events.append(
                .init(
                    "scan",
                    at: unix(marks.scanned),
                    [.init("weir.body_bytes", .int(Int64(requestBytes))), .init("weir.stream", .bool(isStream))]
                )
            )
        }
        let isClaimed = ending.times.reserved > 0
        func decision(_ isRefusedHere: Bool) -> [TraceSpan.Attribute] {
            guard isRefusedHere, let refusal else { return [.init("weir.decision", .string("allow"))] }
            return [.init("weir.decision", .string("refuse"))] + Self.attributes(of: refusal.refusal, by: refusal.rule)
        }
        if marks.decided > 0 {
            let rules = TraceSpan.Attribute("weir.rules", .int(Int64(key.rules.count)))
            events.append(.init("decide", at: unix(marks.decided), [rules] + decision(!isClaimed)))
        }
        if isClaimed {
            let claims = TraceSpan.Attribute("weir.claims", .int(Int64(self.claims.count)))
            events.append(.init("reserve", at: unix(ending.times.reserved), [claims] + decision(true)))
        }
        if ending.times.last.ended > 0 {
            events.append(
                .init(
                    "settle",
                    at: unix(ending.times.last.ended),
                    [
                        .init("weir.tokens", .int(Int64(ending.usage.total ?? 0))),
                        .init("weir.tokens.source", .string("\(ending.source)")),
                    ]
                )
            )
        }
        return events
    }

    private static func events(of attempt: AttemptTimes, _ unix: (UInt64) -> UInt64) -> [TraceSpan.Event] {
        var events: [TraceSpan.Event] = []
        if attempt.firstByte > 0 { events.append(.init("first_byte", at: unix(attempt.firstByte))) }
        if attempt.firstToken > 0 { events.append(.init("first_token", at: unix(attempt.firstToken))) }
        return events
    }

    private func attemptSpans(
        _ trace: RequestTrace,
        _ ending: RequestEnding,
        _ unix: (UInt64) -> UInt64
    ) -> [TraceSpan] {
        let attempts = ending.times.attempts
        return attempts.indices.compactMap { index in
            let isLast = index == attempts.count - 1
            let failed = index < trace.failed.count ? trace.failed[index] : nil
            guard let route = isLast ? self.route : failed?.route else { return nil }
            // One that failed keeps the id that its provider was told, also when nothing came after it.
            let spanID = failed?.span ?? (isLast ? trace.attempt : nil) ?? worker.measures.makeSpanID()
            let attempt = attempts[index]
            let operation = GenAIConvention.operation(endpoint)
            var attributes: [TraceSpan.Attribute] = [
                .init("gen_ai.operation.name", .string(operation)),
                .init(worker.measures.convention.provider, .string(GenAIConvention.name(of: route.provider))),
                .init("gen_ai.request.model", .string(route.upstreamModelText)),
                .init("http.request.method", .string("POST")), .init("weir.provider", .string(route.provider.name)),
            ]
            if let target = active.targets[route.provider.index] {
                attributes.append(.init("server.address", .string(target.address.host)))
                if let port = target.address.port { attributes.append(.init("server.port", .int(Int64(port)))) }
            }
            if attempt.status > 0 { attributes.append(.init("http.response.status_code", .int(Int64(attempt.status)))) }
            if index > 0 { attributes.append(.init("http.request.resend_count", .int(Int64(index)))) }
            if isLast {
                if let tokens = ending.usage.prompt {
                    attributes.append(.init("gen_ai.usage.input_tokens", .int(Int64(tokens))))
                }
                if let tokens = ending.usage.completion {
                    attributes.append(.init("gen_ai.usage.output_tokens", .int(Int64(tokens))))
                }
            }
            var status = TraceSpan.Status.unset
            if let error = isLast ? ending.error : (attempt.status > 0 ? "\(attempt.status)" : "no_answer") {
                attributes.append(.init("error.type", .string(error)))
                status = .error(error)
            }
            return TraceSpan(
                name: "\(operation) \(route.upstreamModelText)",
                kind: .client,
                context: TraceContext(
                    traceID: trace.context.traceID,
                    spanID: spanID,
                    isSampled: true,
                    state: trace.context.state
                ),
                parent: trace.context.spanID,
                start: unix(attempt.sent),
                end: unix(attempt.ended),
                attributes: attributes,
                events: Self.events(of: attempt, unix),
                status: status
            )
        }
    }
}
