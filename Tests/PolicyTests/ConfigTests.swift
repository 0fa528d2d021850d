// Which configs are accepted: one table, held against the Swift validation and against the schema files, which must
// agree on every row; and what an admin is told of the others.

import Foundation
import Policy
import Testing

struct ConfigRow: Sendable, CustomTestStringConvertible {
    let kind: String
    let json: String
    /// The pointers of all problems, in order; empty when the config is accepted.
    let problems: [String]

    init(_ kind: String, _ json: String, _ problems: String...) {
        self.kind = kind
        self.json = json
        self.problems = problems
    }

    var testDescription: String { "\(kind) \(json.prefix(80))" }
}

private func repeated(_ text: String, _ count: Int) -> String { String(repeating: text, count: count) }

private func array(of element: String, _ count: Int) -> String {
    "[" + Array(repeating: "\"\(element)\"", count: count).joined(separator: ",") + "]"
}

private let rows: [ConfigRow] = [
    // request_size
    ConfigRow("request_size", #"{"max_bytes": 1}"#),
    ConfigRow("request_size", #"{"max_bytes": 2147483648}"#),
    ConfigRow("request_size", #"{"max_bytes": 1048576.0}"#),
    ConfigRow("request_size", #"{"max_bytes": 2147483649}"#, "/max_bytes"),
    ConfigRow("request_size", #"{"max_bytes": 0}"#, "/max_bytes"),
    ConfigRow("request_size", #"{"max_bytes": -1}"#, "/max_bytes"),
    ConfigRow("request_size", #"{"max_bytes": 1.5}"#, "/max_bytes"),
    ConfigRow("request_size", #"{"max_bytes": 1e300}"#, "/max_bytes"),
    ConfigRow("request_size", #"{"max_bytes": 18446744073709551616}"#, "/max_bytes"),
    ConfigRow("request_size", #"{"max_bytes": "100"}"#, "/max_bytes"),
    ConfigRow("request_size", #"{"max_bytes": true}"#, "/max_bytes"),
    ConfigRow("request_size", #"{"max_bytes": null}"#, "/max_bytes"),
    ConfigRow("request_size", #"{}"#, "/max_bytes"),
    ConfigRow("request_size", #"{"max_byte": 1}"#, "/max_byte", "/max_bytes"),
    ConfigRow("request_size", #"{"max_bytes": 1, "a/b~c": 2}"#, "/a~1b~0c"),
    ConfigRow("request_size", #"{"max_bytes": 1, "Max_bytes": 1}"#, "/Max_bytes"),
    ConfigRow("request_size", #"[]"#, ""),
    ConfigRow("request_size", #"null"#, ""),
    ConfigRow("request_size", #""max_bytes""#, ""),
    // model_allowlist
    ConfigRow("model_allowlist", #"{"allow": ["gpt-4o*"], "deny": ["*-preview", "o1"]}"#),
    ConfigRow("model_allowlist", #"{"allow": []}"#),
    ConfigRow("model_allowlist", #"{"allow": [], "deny": []}"#),
    ConfigRow("model_allowlist", #"{"deny": ["o1*"]}"#),
    ConfigRow("model_allowlist", #"{"allow": ["*"]}"#),
    ConfigRow("model_allowlist", #"{"allow": ["a", "a"]}"#),
    ConfigRow("model_allowlist", #"{"allow": ["modèle", " spaced "]}"#),
    ConfigRow("model_allowlist", #"{"allow": \#(array(of: "m", 256))}"#),
    ConfigRow("model_allowlist", #"{"allow": \#(array(of: "m", 257))}"#, "/allow"),
    ConfigRow("model_allowlist", #"{"allow": ["\#(repeated("m", 256))"]}"#),
    ConfigRow("model_allowlist", #"{"allow": ["\#(repeated("m", 257))"]}"#, "/allow/0"),
    ConfigRow("model_allowlist", #"{"allow": ["\#(repeated("😀", 64))"]}"#),
    ConfigRow("model_allowlist", #"{"allow": ["\#(repeated("é", 65))"]}"#, "/allow/0"),
    ConfigRow("model_allowlist", #"{"allow": ["e\u0301"]}"#),
    ConfigRow("model_allowlist", #"{}"#, ""),
    ConfigRow("model_allowlist", #"{"allow": [""]}"#, "/allow/0"),
    ConfigRow("model_allowlist", #"{"allow": ["a\n"]}"#, "/allow/0"),
    ConfigRow("model_allowlist", #"{"allow": ["a\u0000b"]}"#, "/allow/0"),
    ConfigRow("model_allowlist", #"{"allow": ["a\u007f"]}"#, "/allow/0"),
    ConfigRow("model_allowlist", #"{"allow": "gpt-4o"}"#, "/allow"),
    ConfigRow("model_allowlist", #"{"allow": null, "deny": ["a"]}"#, "/allow"),
    ConfigRow("model_allowlist", #"{"allow": ["a", 1, ["b"], null]}"#, "/allow/1", "/allow/2", "/allow/3"),
    ConfigRow("model_allowlist", #"{"allow": ["a"], "denied": ["b"]}"#, "/denied"),
    ConfigRow("model_allowlist", #"{"allow": [""], "deny": [7], "x": 1}"#, "/allow/0", "/deny/0", "/x"),
    // rate_limit
    ConfigRow("rate_limit", #"{"limit": 100, "window": "1m"}"#),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1s", "per": ["app"], "algorithm": "fixed_window"}"#),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "31d", "per": ["key", "model", "header:x-user"]}"#),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "2678400s", "per": []}"#),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "2678399s"}"#),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "44640m"}"#),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "744h"}"#),
    ConfigRow("rate_limit", #"{"limit": 1000000000000000, "window": "90s"}"#),
    ConfigRow("rate_limit", #"{"limit": 1000000000000001, "window": "90s"}"#, "/limit"),
    ConfigRow("rate_limit", #"{"limit": 0, "window": "1m"}"#, "/limit"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "2678401s"}"#, "/window"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "44641m"}"#, "/window"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "745h"}"#, "/window"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "32d"}"#, "/window"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "0s"}"#, "/window"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "01m"}"#, "/window"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "-1m"}"#, "/window"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1.5m"}"#, "/window"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1 m"}"#, "/window"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1m\n"}"#, "/window"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1M"}"#, "/window"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1w"}"#, "/window"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "m"}"#, "/window"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "60"}"#, "/window"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "１m"}"#, "/window"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "99999999999999999999s"}"#, "/window"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": ""}"#, "/window"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": 60}"#, "/window"),
    ConfigRow("rate_limit", #"{"limit": 1}"#, "/window"),
    ConfigRow("rate_limit", #"{"window": "1m"}"#, "/limit"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1m", "algorithm": "sliding_window"}"#),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1m", "algorithm": "token_bucket"}"#),
    ConfigRow("rate_limit", #"{"limit": 5, "window": "1m", "algorithm": "token_bucket", "burst": 1}"#),
    ConfigRow("rate_limit", #"{"limit": 1000000000, "window": "1d", "algorithm": "token_bucket"}"#),
    ConfigRow("rate_limit", #"{"limit": 5, "window": "1m", "algorithm": "token_bucket", "burst": 0}"#, "/burst"),
    ConfigRow("rate_limit", #"{"limit": 5, "window": "1m", "algorithm": "sliding_window", "burst": 5}"#, "/burst"),
    ConfigRow("rate_limit", #"{"limit": 5, "window": "1m", "burst": 5}"#, "/burst"),
    ConfigRow("rate_limit", #"{"burst": 5}"#, "/burst", "/limit", "/window"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1m", "algorithm": "concurrency"}"#, "/algorithm"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1m", "algorithm": "Token_bucket"}"#, "/algorithm"),
    ConfigRow("rate_limit", #"{"max_concurrent": 1}"#),
    ConfigRow("rate_limit", #"{"max_concurrent": 1000000000, "per": ["key"], "on_redis_failure": "deny"}"#),
    ConfigRow("rate_limit", #"{"max_concurrent": 8, "limit": 100, "window": "1m", "per": ["header:x-user"]}"#),
    ConfigRow("rate_limit", #"{"max_concurrent": 0}"#, "/max_concurrent"),
    ConfigRow("rate_limit", #"{"max_concurrent": 1000000001}"#, "/max_concurrent"),
    ConfigRow("rate_limit", #"{"max_concurrent": "1"}"#, "/max_concurrent"),
    ConfigRow("rate_limit", #"{"max_concurrent": 1, "limit": 1}"#, "/window"),
    ConfigRow("rate_limit", #"{"max_concurrent": 1, "algorithm": "token_bucket"}"#, "/limit", "/window"),
    ConfigRow("rate_limit", #"{"max_concurrent": 1, "max_distinct": 5}"#, "/limit", "/window"),
    ConfigRow("rate_limit", #"{"max_concurent": 1}"#, "/limit", "/max_concurent", "/window"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1m", "max_distinct": 1}"#),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1m", "max_distinct": 1000000}"#),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1m", "max_distinct": 0}"#, "/max_distinct"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1m", "max_distinct": 1000001}"#, "/max_distinct"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1m", "on_redis_failure": "local_share"}"#),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1m", "on_redis_failure": "allow"}"#),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1m", "on_redis_failure": "open"}"#, "/on_redis_failure"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1m", "on_redis_failure": true}"#, "/on_redis_failure"),
    ConfigRow("rate_limit", #"{"on_redis_failure": "allow"}"#, "/limit", "/window"),
    ConfigRow("rate_limit", #"{}"#, "/limit", "/window"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1m", "algorithm": 1}"#, "/algorithm"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1m", "per": "app"}"#, "/per"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1m", "per": ["app", "app"]}"#, "/per/1"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1m", "per": ["user"]}"#, "/per/0"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1m", "per": ["App"]}"#, "/per/0"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1m", "per": ["app "]}"#, "/per/0"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1m", "per": ["header:"]}"#, "/per/0"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1m", "per": ["header:X-User"]}"#, "/per/0"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1m", "per": ["header:a b"]}"#, "/per/0"),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1m", "per": ["header:\#(repeated("x", 64))"]}"#),
    ConfigRow("rate_limit", #"{"limit": 1, "window": "1m", "per": ["header:\#(repeated("x", 65))"]}"#, "/per/0"),
    ConfigRow(
        "rate_limit",
        #"{"limit": 1, "window": "1m", "per": ["app", "key", "model", "header:a", "header:b"]}"#,
        "/per"
    ),
    ConfigRow(
        "rate_limit",
        #"{"limit": "x", "window": "y", "per": [1, "z"], "algorithm": "w", "bursts": 3}"#,
        "/algorithm",
        "/bursts",
        "/limit",
        "/per/0",
        "/per/1",
        "/window"
    ),
    // token_limit
    ConfigRow("token_limit", #"{"max_prompt_tokens": 1}"#),
    ConfigRow("token_limit", #"{"max_completion_tokens": 2147483648}"#),
    ConfigRow("token_limit", #"{"max_total_tokens": 5, "max_prompt_tokens": 3, "max_completion_tokens": 9}"#),
    ConfigRow("token_limit", #"{"limit": 100000, "window": "1h"}"#),
    ConfigRow("token_limit", #"{"limit": 1, "window": "1d", "per": ["key"], "assumed_output_tokens": 1000000}"#),
    ConfigRow("token_limit", #"{"max_total_tokens": 5, "limit": 100000, "window": "1h", "per": ["header:x-user"]}"#),
    ConfigRow("token_limit", #"{}"#, ""),
    ConfigRow("token_limit", #"{"max_prompt_tokens": 0}"#, "/max_prompt_tokens"),
    ConfigRow("token_limit", #"{"max_total_tokens": 2147483649}"#, "/max_total_tokens"),
    ConfigRow("token_limit", #"{"max_tokens": 5}"#, "/max_tokens"),
    ConfigRow("token_limit", #"{"limit": 5}"#, "/window"),
    ConfigRow("token_limit", #"{"window": "1m"}"#, "/limit"),
    ConfigRow("token_limit", #"{"max_total_tokens": 5, "window": "1m"}"#, "/limit"),
    ConfigRow("token_limit", #"{"max_total_tokens": 5, "per": ["app"]}"#, "/limit", "/window"),
    ConfigRow("token_limit", #"{"max_total_tokens": 5, "assumed_output_tokens": 7}"#, "/limit", "/window"),
    ConfigRow(
        "token_limit",
        #"{"limit": 1, "window": "1m", "assumed_output_tokens": 0}"#,
        "/assumed_output_tokens"
    ),
    ConfigRow("token_limit", #"{"limit": 1, "window": "1m", "algorithm": "fixed_window"}"#),
    ConfigRow("token_limit", #"{"limit": 9, "window": "1d", "algorithm": "token_bucket", "burst": 3}"#),
    ConfigRow(
        "token_limit",
        #"{"limit": 9, "window": "1d", "per": ["header:a"], "max_distinct": 7, "on_redis_failure": "deny"}"#
    ),
    ConfigRow("token_limit", #"{"limit": 1, "window": "1m", "algorithm": "leaky"}"#, "/algorithm"),
    ConfigRow("token_limit", #"{"limit": 1, "window": "1m", "burst": 2}"#, "/burst"),
    ConfigRow("token_limit", #"{"limit": 1, "window": "1m", "max_concurrent": 2}"#, "/max_concurrent"),
    ConfigRow("token_limit", #"{"max_total_tokens": 5, "on_redis_failure": "deny"}"#, "/limit", "/window"),
    ConfigRow("token_limit", #"{"max_total_tokens": 5, "algorithm": "fixed_window"}"#, "/limit", "/window"),
    ConfigRow("token_limit", #"{"max_total_tokens": 5, "max_distinct": 5}"#, "/limit", "/window"),
    ConfigRow("token_limit", #"{"limit": 1, "window": "1m", "per": ["x"]}"#, "/per/0"),
]

@Suite struct `A policy's config` {
    private func parse(_ json: String) throws -> ConfigValue {
        try JSONDecoder().decode(ConfigValue.self, from: Data(json.utf8))
    }

    @Test(arguments: rows)
    func `is judged alike by its schema and by its kind, with all problems named`(row: ConfigRow) throws {
        let config = try parse(row.json)
        let kind = try #require(PolicyRegistry.standard.kind(named: row.kind))
        #expect(try JSONSchema(kind.schema).accepts(config) == row.problems.isEmpty, "the schema")
        do throws(ConfigProblems) {
            let program = try kind.compile(config)
            #expect(row.problems == [])
            #expect(throws: Never.self) { try kind.load(program) }
        } catch {
            #expect(error.problems.map(\.path) == row.problems)
            #expect(error.problems.allSatisfy { !$0.reason.isEmpty })
        }
    }

    @Test func `is explained to the admin`() throws {
        let kind = try #require(PolicyRegistry.standard.kind(named: "rate_limit"))
        let expected = ConfigProblems([
            ConfigProblem(
                path: "/bursts",
                reason: """
                    unknown field; known are limit, window, algorithm, burst, max_distinct, max_concurrent, per, \
                    on_redis_failure
                    """
            ),
            ConfigProblem(path: "/limit", reason: "must be an integer, 1 to 1000000000000000"),
            ConfigProblem(path: "/per/1", reason: "must be app, key, model or header:<name in lower case>"),
            ConfigProblem(path: "/window", reason: "required"),
        ])
        #expect(throws: expected) {
            try kind.compile(["limit": 0, "per": ["app", "header:X"], "bursts": 1])
        }
    }

    /// A JSON Schema cannot multiply, so only the kind knows.
    @Test(arguments: [
        // Nothing in common with the window's milliseconds, so that a token is a day of units.
        (#"{"limit": 104249991, "window": "1d", "algorithm": "token_bucket"}"#, nil),
        (#"{"limit": 104249993, "window": "1d", "algorithm": "token_bucket"}"#, "/limit"),
        (#"{"limit": 1, "window": "1d", "algorithm": "token_bucket", "burst": 104249991}"#, nil),
        (#"{"limit": 1, "window": "1d", "algorithm": "token_bucket", "burst": 104249992}"#, "/burst"),
        (#"{"limit": 1000000000000, "window": "1d", "algorithm": "token_bucket"}"#, nil),
    ])
    func `is refused when its bucket could not be counted exactly`(json: String, path: String?) throws {
        for name in ["rate_limit", "token_limit"] {
            let kind = try #require(PolicyRegistry.standard.kind(named: name))
            let config = try parse(json)
            do throws(ConfigProblems) {
                _ = try kind.compile(config)
                #expect(path == nil)
            } catch {
                #expect(error.problems.map(\.path) == [path])
            }
        }
    }

    @Test func `comes back from JSON as it went`() throws {
        let json = #"{"a":[null,true,1,-9223372036854775808,2.5,"é",{}],"b":{"c":[]}}"#
        let value = try parse(json)
        #expect(value == ["a": [nil, true, 1, .integer(.min), 2.5, "é", [:]], "b": ["c": []]])
        #expect(try parse(String(decoding: JSONEncoder().encode(value), as: UTF8.self)) == value)
    }

    @Test func `is refused when it is nested too deep`() {
        #expect(throws: DecodingError.self) { try parse(repeated("[", 40) + repeated("]", 40)) }
    }
}

@Suite struct `The registry` {
    @Test func `knows its kinds by their exact names`() {
        let registry = PolicyRegistry.standard
        #expect(registry.names == ["model_allowlist", "request_size", "cel", "token_limit", "rate_limit"])
        for name in registry.names { #expect(registry.kind(named: name)?.name == name) }
        for name in ["Cel", "Rate_limit", "rate_limit ", ""] { #expect(registry.kind(named: name) == nil) }
    }

    @Test(arguments: PolicyRegistry.standard.names)
    func `embeds a schema that refuses unknown fields and whose examples hold`(name: String) throws {
        let kind = try #require(PolicyRegistry.standard.kind(named: name))
        let schema = try JSONSchema(kind.schema)
        #expect(schema.keywords["additionalProperties"] == false)
        #expect(schema.keywords["$schema"] == "https://json-schema.org/draft/2020-12/schema")
        guard case .array(let examples)? = schema.keywords["examples"], !examples.isEmpty else {
            Issue.record("no examples")
            return
        }
        for example in examples {
            #expect(try schema.accepts(example))
            #expect(throws: Never.self) { try kind.compile(example) }
        }
    }
}
