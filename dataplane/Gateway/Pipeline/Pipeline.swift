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
            exchange.answer(.badRequest(error), origin: .gateway)
            return
        }
        // Background answers are never metered here, and stored ones are shared by all who use the provider's key
        // (WIRE.md, section 3): until ids are bound to their app, neither passes.
        guard !parsed.isBackground, !parsed.usesServerState else {
            exchange.answer(.storedResponses, origin: .gateway)
            return
        }
        exchange.isStream = parsed.stream
        let name = parsed.model?.decoded(in: body.span) ?? []
        guard let model = exchange.active.policies.model(named: name) else {
            exchange.answer(.modelNotFound, origin: .gateway)
            return
        }
        let request = PolicyRequest(
            endpoint: exchange.endpoint,
            model: name,
            upstreamModels: model.upstreamModels,
            bodyBytes: body.count,
            parsed: parsed,
            body: body,
            promptTokens: TokenEstimate.likelyPrompt(
                promptBytes: parsed.promptBytes,
                messageCount: parsed.messageCount,
                imageCount: parsed.imageCount
            ),
            appID: exchange.key.app.idBytes,
            keyID: exchange.key.idBytes,
            headers: exchange.fields
        )
        exchange.request = request
        guard Decide.admits(request, exchange) else { return }
        exchange.claims = Decide.claims(request, exchange)
        Forward.send(request, to: model, exchange)
    }
}
