// One policy of each kind that is built, for the demo's app. All of them are evaluated on every request, and none gets
// in a benchmark's way: what they admit is far beyond what one machine can send.

import Policy
import Stack

/// The demo's policies.
enum DemoPolicies {
    /// A kind's name and a config of it.
    ///
    /// `WeirTests` checks that no registered kind is missing.
    static let configs: [(kind: String, config: JSONValue)] = [
        ("model_allowlist", ["allow": ["*"], "deny": ["forbidden-*"]]),
        ("request_size", ["max_bytes": 16_777_216]),
        (
            "cel",
            [
                "deny_if": "request.n > 8 || request.headers[?'x-demo'].orValue('') == 'deny' || 'blocked' in app.tags",
                "message": "the demo's rule says no",
            ]
        ),
        (
            "token_limit",
            ["max_completion_tokens": 1_000_000, "limit": 1_000_000_000_000, "window": "1m", "per": ["app"]]
        ),
        ("rate_limit", ["limit": 1_000_000_000, "window": "1m", "per": ["app"]]),
    ]

    /// The policies as the API takes them.
    static func wanted(for app: String) -> [[String: JSONValue]] {
        configs.map { kind, config in
            [
                "name": .string("demo-\(kind.replacing("_", with: "-"))"), "kind": .string(kind), "config": config,
                "scope": ["app": .string(app)], "mode": "enforce",
            ]
        }
    }
}
