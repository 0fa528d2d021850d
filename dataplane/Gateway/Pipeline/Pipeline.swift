// Stages 3 to 6 on the whole request: scan, decide, claim, and on to the Reactor. One file per stage beside this one.

import LLMWire
import Limits
import Logging
import Policy
import Reactor
import Snapshot
import Telemetry
import Tokens

/// Runs a whole request through the policies in force for its key.
enum Pipeline {
    /// The body has arrived; ends with an answer of ours or with the request on its way.
    static func run(_ exchange: Exchange, body: [UInt8]) {
        exchange.bodyIsWhole(body)
        let parsed: ParsedRequest
        do throws(ScanError) {
            parsed = try ParsedRequest.scan(body.span, endpoint: exchange.endpoint)
        } catch {
            exchange.worker.counters.unscannable.add()
            exchange.worker.logger.info(
                "unreadable body",
                metadata: exchange.logFields(["reason": "\(error.reason)", "offset": "\(error.offset)"])
            )
            return exchange.refuseUnmetered(.badRequest(error))
        }
        exchange.noteScanned()
        // Background answers are never metered here, and stored ones are shared by all who use the provider's key
        // (WIRE.md, section 3): until ids are bound to their app, neither passes.
        guard !parsed.isBackground, !parsed.usesServerState else {
            return exchange.refuseUnmetered(.storedResponses)
        }
        exchange.isStream = parsed.stream
        let name = parsed.model?.decoded(in: body.span) ?? []
        guard let model = exchange.active.policies.model(named: name) else {
            return exchange.refuseUnmetered(.modelNotFound)
        }
        // Drawn before the policies are asked, since they may ask where the request would go.
        var plan = RoutePlan(model)
        guard let route = Forward.firstRoute(&plan, exchange) else {
            return exchange.refuseUnmetered(.modelNotFound)
        }
        exchange.plan = plan
        exchange.route = route
        let request = self.request(exchange, parsed, name: name, body: body, model: model, along: route)
        exchange.request = request
        guard Decide.admits(request, exchange) else { return }
        exchange.claims = Decide.claims(request, exchange)
        exchange.marks.decided = exchange.worker.measures.stamp()
        Forward.send(request, along: route, exchange)
    }

    /// What the policies are asked about a request that takes a route.
    private static func request(
        _ exchange: Exchange,
        _ parsed: ParsedRequest,
        name: [UInt8],
        body: [UInt8],
        model: EnforcedModel,
        along route: EnforcedRoute
    ) -> PolicyRequest {
        PolicyRequest(
            endpoint: exchange.endpoint,
            model: name,
            upstreamModels: model.upstreamModels,
            bodyBytes: body.count,
            parsed: parsed,
            body: body,
            prompt: PromptTokens(
                parsed,
                body: body,
                profile: exchange.active.calibrations[route.index].profile(route.tokens),
                meter: exchange.worker.promptMeter
            ),
            maxOutputTokens: model.maxOutputTokens,
            app: exchange.key.app.subject,
            key: exchange.key.subject,
            provider: route.provider.nameBytes,
            nowMilliseconds: exchange.startedMilliseconds,
            headers: exchange.fields
        )
    }

    /// The same request along another route.
    static func request(
        _ request: PolicyRequest,
        _ exchange: Exchange,
        along route: EnforcedRoute,
        of model: EnforcedModel
    )
        -> PolicyRequest
    {
        self.request(exchange, request.parsed, name: request.model, body: request.body, model: model, along: route)
    }
}
