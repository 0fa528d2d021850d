// Stage 6 on the event loop: which route, which credential, which bytes; and, when that fails before the client has seen
// anything, which other route. The Reactor does the rest.

import LLMWire
import Logging
import NIOCore
import Policy
import Reactor
import Secrets
import Snapshot
import Telemetry
import Tokens

/// Turns an admitted request into the provider's.
enum Forward {
    /// Why a route cannot be taken.
    private enum Obstacle: Error {
        /// Its provider's credential would not open: logged at the swap.
        case noCredential
        /// Its provider has no such call.
        case noEndpoint
        /// Its provider's breaker is open.
        case breakerOpen(until: Duration)
    }

    /// Draws the route that a request takes if nothing fails, among those whose providers have the call.
    ///
    /// - Returns: nil when no provider of the model has it.
    static func firstRoute(_ plan: inout RoutePlan, _ exchange: Exchange) -> EnforcedRoute? {
        while let route = exchange.worker.drawRoute(of: plan) {
            guard let target = exchange.active.targets[route.provider.index], !target.serves(exchange.endpoint) else {
                return route
            }
            plan.ruleOut(route)
        }
        return nil
    }

    /// Sends an admitted request along its route, or along another when that one's provider is known to be out.
    static func send(_ request: PolicyRequest, along route: EnforcedRoute, _ exchange: Exchange) {
        switch leave(along: route, exchange) {
        case .success(let leave): begin(attempt(request, along: route, exchange, leave), request, exchange)
        case .failure(let obstacle): avoid(obstacle, request, exchange)
        }
    }

    private static func begin(_ attempt: UpstreamAttempt, _ request: PolicyRequest, _ exchange: Exchange) {
        let worker = exchange.worker
        if let route = exchange.route { worker.earnRetry(route.provider, of: exchange.active) }
        let job = ForwardJob(
            id: exchange.id,
            appID: exchange.key.app.subject.id,
            claims: exchange.claims,
            attempt: attempt,
            endpoint: exchange.endpoint,
            promptEstimate: TokenEstimate.likely(textBytes: request.parsed.promptBytes)
        )
        worker.forward(job, for: exchange)
    }

    /// The drawn route cannot be taken: any other will do; that costs no budget, since nothing was sent.
    private static func avoid(_ first: Obstacle, _ request: PolicyRequest, _ exchange: Exchange) {
        var obstacle = first
        if let other = otherAttempt(request, exchange, &obstacle) {
            other.take(exchange)
            return begin(other.attempt, other.request, exchange)
        }
        switch obstacle {
        case .noCredential:
            exchange.answer(.unavailable, origin: .gateway)
            exchange.recordUnanswered()
        case .noEndpoint: exchange.answer(.modelNotFound, origin: .gateway)
        case .breakerOpen(let until):
            let wait = until - MonotonicTime.now.sinceOrigin
            exchange.answerUnavailable(retryAfterSeconds: min(max(Int(wait.components.seconds) + 1, 1), 60))
            exchange.recordUnanswered()
        }
    }

    // MARK: After a failure

    /// An attempt failed and nothing of it has reached the client: makes another, or has the failure told.
    static func again(after failure: AttemptFailure, _ exchange: Exchange) {
        guard exchange.isAwaited, let request = exchange.request, let failed = exchange.route else { return }
        let wasProbe = exchange.attempts.isProbe
        exchange.trace?.fail(failed)
        exchange.attempts.fail(failure)
        if failure.recourse == .otherProvider {
            exchange.plan?.ruleOut(failed.provider)
        } else {
            exchange.plan?.ruleOut(failed)
        }
        guard !exchange.attempts.isExhausted else { return giveUp(exchange) }
        var obstacle = Obstacle.noEndpoint
        // A probe is the breaker's risk, not its client's: it is tried elsewhere whatever the budget.
        if let other = otherAttempt(request, exchange, &obstacle) {
            guard wasProbe || exchange.worker.spendRetry(failed.provider, of: exchange.active) else {
                other.attempt.health.abandon(other.attempt.admission, now: .now)
                exchange.attempts.takeBack()
                return giveUp(exchange)
            }
            other.take(exchange)
            return retry(other.attempt, after: failure, at: failed.provider, exchange)
        }
        let chance = exchange.worker.chance()
        guard let wait = exchange.attempts.repetition(after: failure, chance: chance),
            exchange.worker.spendRetry(failed.provider, of: exchange.active)
        else { return giveUp(exchange) }
        exchange.worker.loop.assumeIsolated().scheduleTask(in: .milliseconds(Int64(wait))) {
            guard exchange.isAwaited else { return }
            guard case .success(let leave) = leave(along: failed, exchange) else { return giveUp(exchange) }
            let attempt = attempt(request, along: failed, exchange, leave)
            retry(attempt, after: failure, at: failed.provider, exchange)
        }
    }

    private static func retry(
        _ attempt: UpstreamAttempt,
        after failure: AttemptFailure,
        at failed: EnforcedProvider,
        _ exchange: Exchange
    ) {
        exchange.attempts.retry()
        exchange.active.targets[failed.index]?.health.countRetry(after: failure.reason)
        exchange.worker.logger.info(
            "trying again",
            metadata: exchange.logFields([
                "reason": "\(failure.reason.rawValue)", "failed": "\(failed.name)",
                "provider": "\(exchange.route?.provider.name ?? "")", "attempt": "\(exchange.attempts.count)",
            ])
        )
        exchange.worker.send(.attempt(exchange.id, attempt))
    }

    private static func giveUp(_ exchange: Exchange) { exchange.worker.send(.giveUp(exchange.id)) }

    // MARK: Attempts

    /// An attempt along another route than the last.
    private struct OtherAttempt {
        let attempt: UpstreamAttempt
        let route: EnforcedRoute
        let request: PolicyRequest

        func take(_ exchange: Exchange) {
            exchange.route = route
            exchange.request = request
        }
    }

    /// An attempt along a route that is left and that the policies let this request take.
    private static func otherAttempt(
        _ request: PolicyRequest,
        _ exchange: Exchange,
        _ obstacle: inout Obstacle
    ) -> OtherAttempt? {
        guard var plan = exchange.plan else { return nil }
        if exchange.attempts.count == 0, let first = exchange.route { plan.ruleOut(first) }
        while let route = exchange.worker.drawRoute(of: plan) {
            plan.ruleOut(route)
            switch leave(along: route, exchange) {
            case .failure(let found): note(found, in: &obstacle)
            case .success(let leave):
                // The rules may tell providers apart, and count a prompt as the route's model does.
                let other = Pipeline.request(request, exchange, along: route, of: plan.model)
                guard Decide.permits(other, exchange) else {
                    leave.target.health.abandon(leave.admission, now: .now)
                    continue
                }
                let attempt = attempt(other, along: route, exchange, leave)
                return OtherAttempt(attempt: attempt, route: route, request: other)
            }
        }
        return nil
    }

    /// Keeps of two obstacles the one that passes sooner.
    private static func note(_ found: Obstacle, in obstacle: inout Obstacle) {
        guard case .breakerOpen(let until) = found else { return }
        if case .breakerOpen(let known) = obstacle, known <= until { return }
        obstacle = found
    }

    /// What is needed of a provider before it can be asked.
    private struct Leave {
        let target: ProviderTarget
        let url: String
        let admission: AttemptAdmission
    }

    private static func leave(along route: EnforcedRoute, _ exchange: Exchange) -> Result<Leave, Obstacle> {
        guard let target = exchange.active.targets[route.provider.index] else { return .failure(.noCredential) }
        guard let url = target.url(of: exchange.endpoint) else { return .failure(.noEndpoint) }
        switch target.health.ask(now: .now) {
        case .refused(let until): return .failure(.breakerOpen(until: until))
        case .admitted(let admission):
            return .success(Leave(target: target, url: url, admission: admission))
        }
    }

    private static func attempt(
        _ request: borrowing PolicyRequest,
        along route: EnforcedRoute,
        _ exchange: Exchange,
        _ leave: Leave
    ) -> UpstreamAttempt {
        let target = leave.target
        exchange.attempts.begin(isProbe: leave.admission.isProbe)
        let bounds = exchange.worker.bounds
        let injects =
            request.parsed.canInjectUsage && !request.parsed.includesUsage && target.injectsStreamUsage
        let isRenamed = !route.upstreamModel.elementsEqual(request.model)
        let body = request.parsed.forwardedBody(
            request.body,
            model: isRenamed ? route.upstreamModel : nil,
            injectUsage: injects
        )
        return UpstreamAttempt(
            request: HTTPClientRequest(
                method: .post,
                url: leave.url,
                headers: headers(exchange, target),
                body: body ?? request.body,
                connectTimeout: target.connectTimeout ?? bounds.connectTimeout,
                firstByteTimeout: target.firstByteTimeout ?? bounds.firstByteTimeout,
                idleTimeout: target.idleTimeout ?? bounds.idleTimeout,
                allowsPrivateAddresses: target.allowsPrivateAddresses,
                isolation: target.isolation
            ),
            stripsUsage: injects,
            health: target.health,
            admission: leave.admission
        )
    }

    private static func headers(_ exchange: Exchange, _ target: ProviderTarget) -> [String] {
        var lines = exchange.forwarded
        lines.reserveCapacity(lines.count + 6)
        if let trace = exchange.beginAttemptSpan() {
            // Ours in place of the client's: the provider's span is a child of the attempt.
            lines.removeAll { $0.hasPrefix("traceparent:") || $0.hasPrefix("tracestate:") }
            lines.append("traceparent: \(trace.parent)")
            if !trace.state.text.isEmpty { lines.append("tracestate: \(trace.state.text)") }
        }
        lines.append("content-type: application/json")
        // Coded bytes cannot be metered; providers all speak identity.
        lines.append("accept-encoding: identity")
        lines.append("x-request-id: \(exchange.requestID)")
        if let credential = target.credential { lines.append(credential.reveal()) }
        return lines
    }
}
