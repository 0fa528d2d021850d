// Stage 6 on the event loop: which route, which credential, which bytes. The Reactor does the rest.

import LLMWire
import Policy
import Reactor
import Secrets
import Snapshot
import Tokens

/// Turns an admitted request into the provider's.
enum Forward {
    static func send(_ request: borrowing PolicyRequest, along route: EnforcedRoute, _ exchange: Exchange) {
        let worker = exchange.worker
        guard let target = exchange.active.targets[route.provider.index] else {
            exchange.answer(.unavailable, origin: .gateway)  // its credential would not open: logged at the swap
            return
        }
        guard let url = target.url(of: exchange.endpoint) else {
            exchange.answer(.modelNotFound, origin: .gateway)
            return
        }
        let injects =
            request.parsed.canInjectUsage && !request.parsed.includesUsage && target.injectsStreamUsage
        let isRenamed = !route.upstreamModel.elementsEqual(request.model)
        let body = request.parsed.forwardedBody(
            request.body,
            model: isRenamed ? route.upstreamModel : nil,
            injectUsage: injects
        )
        let job = ForwardJob(
            id: exchange.id,
            appID: exchange.key.app.subject.id,
            claims: exchange.claims,
            request: HTTPClientRequest(
                method: .post,
                url: url,
                headers: headers(exchange, target),
                body: body ?? request.body,
                connectTimeout: worker.bounds.connectTimeout,
                firstByteTimeout: worker.bounds.firstByteTimeout,
                idleTimeout: worker.bounds.idleTimeout,
                isolation: target.isolation
            ),
            endpoint: exchange.endpoint,
            stripsUsage: injects,
            promptEstimate: TokenEstimate.likely(textBytes: request.parsed.promptBytes)
        )
        worker.forward(job, for: exchange)
    }

    private static func headers(_ exchange: Exchange, _ target: ProviderTarget) -> [String] {
        var lines = exchange.forwarded
        lines.reserveCapacity(lines.count + 4)
        lines.append("content-type: application/json")
        // Coded bytes cannot be metered; providers all speak identity.
        lines.append("accept-encoding: identity")
        lines.append("x-request-id: \(exchange.requestID)")
        if let credential = target.credential { lines.append(credential.reveal()) }
        return lines
    }
}
