// A model with two providers: "a", which does what the test says, and "b", which only gets what "a" fails at.

import Policy
import Snapshot

/// A node whose model `mock` is served by two providers.
final class Fallback {
    let a: CannedUpstream
    let b: CannedUpstream
    let gateway: GatewayFixture

    /// - Parameters:
    ///   - answer: what "a" says.
    ///   - policies: global policies, each a kind and its config.
    ///   - adjust: changes what the node enforces.
    /// - Throws: when a socket or the node cannot be had.
    init(
        _ answer: CannedUpstream.Answer,
        policies: [(kind: String, config: ConfigValue)] = [],
        adjust: (inout SnapshotContent) throws -> Void = { _ in }
    ) throws {
        let a = try CannedUpstream { _ in answer }
        let b = try CannedUpstream { _ in .completion }
        self.a = a
        self.b = b
        gateway = try GatewayFixture(upstream: a, policies: policies) { content in
            content.providers[0].name = "a"
            content.providers.append(
                ProviderRecord(
                    id: "prv_2",
                    name: "b",
                    kind: .openAICompatible,
                    baseURL: "http://127.0.0.1:\(b.port)/v1",
                    injectsStreamUsage: false
                )
            )
            content.models[0].routes.append(RouteRecord(providerID: "prv_2", upstreamModel: "other", weight: 0))
            try adjust(&content)
        }
    }

    func stop() throws {
        a.stop()
        b.stop()
        try gateway.stop()
    }

    func retries(after reason: String) throws -> Int {
        try gateway.metric(#"weir_upstream_retries_total{provider="a",reason="\#(reason)"}"#)
    }
}

extension CannedUpstream.Answer {
    /// An answer with a JSON body.
    static func json(_ status: Int, _ body: String, headers: String = "") -> CannedUpstream.Answer {
        CannedUpstream.Answer(
            bytes: Array(
                "HTTP/1.1 \(status) Said\r\nContent-Type: application/json\r\n\(headers)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
                    .utf8
            )
        )
    }

    static let reset = CannedUpstream.Answer(bytes: [], resets: true)
    static let silence = CannedUpstream.Answer(bytes: [], hangs: true)
    static let serverError = json(500, #"{"error":{"message":"oops","type":"server_error"}}"#)
    static let emptyAccount = json(
        429,
        #"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#
    )
    static let tooFast = json(429, #"{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}"#)
}
