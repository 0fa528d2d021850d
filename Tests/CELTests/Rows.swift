// The conformance rows with their values, as tests evaluate them: expression, environment, bindings, what is expected.

import Foundation
import Testing

@testable import CEL

/// A row that is evaluated.
struct Row: Sendable, CustomTestStringConvertible {
    let id: String
    let feature: String
    let source: [UInt8]
    let environment: Environment
    let values: [Value]
    let options: CompiledExpression.Options
    /// The value; nil for a row that expects an error.
    let expected: Value?

    var testDescription: String { id }

    static let plain = read("conformance.jsonl")
    static let messages = read("conformance_wkt.jsonl")

    func compile() throws(Problems) -> CompiledExpression {
        try CompiledExpression(source, in: environment, options: options)
    }

    private static func read(_ name: String) -> [Row] {
        let rows = name == "conformance.jsonl" ? CheckRow.plain : CheckRow.messages
        return zip(rows, fixture(name)).compactMap { check, row in
            guard let expect = row["expect"] as? [String: Any], expect["checked"] == nil else { return nil }
            let bindings = (row["bindings"] as? [String: Any] ?? [:]).mapValues(value)
            var variables = check.environment.variables
            if !check.isChecked {
                for name in bindings.keys.sorted() where !variables.contains(where: { $0.name == name }) {
                    variables.append(Environment.Variable(name, .dyn))
                }
            }
            var options = CompiledExpression.Options()
            options.allowsBlocks = true
            options.checksTypes = check.isChecked
            return Row(
                id: check.id,
                feature: row["feature"] as? String ?? "",
                source: Array(check.expression.utf8),
                environment: Environment(
                    variables: variables,
                    overloads: check.environment.overloads,
                    container: check.environment.container
                ),
                values: variables.map { bindings[$0.name] ?? .unset },
                options: options,
                expected: expect["value"].map(value)
            )
        }
    }

    /// A typed value of the fixtures; what is none becomes `.unset`, which equals nothing.
    private static func value(_ json: Any) -> Value {
        guard let object = json as? [String: Any], let (kind, content) = object.first else { return .unset }
        let text = content as? String ?? ""
        switch kind {
        case "null": return .null
        case "bool": return .bool(content as? Bool == true)
        case "int": return Int64(text).map { .int($0) } ?? .unset
        case "uint": return UInt64(text).map { .uint($0) } ?? .unset
        case "double": return Double(text).map { .double($0) } ?? .unset
        case "string": return .text(text)
        case "bytes_b64": return Data(base64Encoded: text).map { .bytes(ByteString(Array($0))) } ?? .unset
        case "type": return .type(ByteString(text))
        case "list": return .list((content as? [Any] ?? []).map(value))
        case "map":
            let entries = (content as? [[Any]] ?? []).map { (value($0[0]), value($0[1])) }
            return (try? MapValue(keys: entries.map(\.0), values: entries.map(\.1))).map { .map($0) } ?? .unset
        case "timestamp": return (try? Value(timestampText: text)) ?? .unset
        case "duration": return (try? Value(durationText: text)) ?? .unset
        case "optional":
            return .optional((content as? [String: Any])?["value"].map { OptionalValue(value($0)) } ?? .none)
        default: return .unset
        }
    }
}

/// Whether two values are the same: of one kind, NaN as NaN, -0.0 apart from 0.0, maps in any order.
func isSame(_ one: Value, _ other: Value) -> Bool {
    switch (one, other) {
    case (.null, .null): true
    case (.bool(let one), .bool(let other)): one == other
    case (.int(let one), .int(let other)): one == other
    case (.uint(let one), .uint(let other)): one == other
    case (.double(let one), .double(let other)):
        one.isNaN ? other.isNaN : one.bitPattern == other.bitPattern
    case (.string(let one), .string(let other)), (.bytes(let one), .bytes(let other)): one == other
    case (.type(let one), .type(let other)): one == other
    case (.timestamp(let one), .timestamp(let other)): one == other
    case (.duration(let one), .duration(let other)): one == other
    case (.network(let one), .network(let other)): one == other
    case (.list(let one), .list(let other)): one.count == other.count && zip(one, other).allSatisfy(isSame)
    case (.map(let one), .map(let other)):
        one.count == other.count
            && one.keys.indices.allSatisfy { index in
                other.keys.indices.contains {
                    isSame(one.keys[index], other.keys[$0]) && isSame(one.values[index], other.values[$0])
                }
            }
    case (.optional(let one), .optional(let other)):
        switch (one.wrapped, other.wrapped) {
        case (nil, nil): true
        case (let one?, let other?): isSame(one, other)
        default: false
        }
    default: false
    }
}
