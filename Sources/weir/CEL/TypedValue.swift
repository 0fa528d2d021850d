// Values in the conformance encoding: an object with one member that names the type.

import CEL
import Foundation
import Stack

/// Reads and writes typed values.
enum TypedValue {
    /// Values that an answer may have; nested ones that are shared count each time, and could be more than fit anywhere.
    static let maxNodes = 1_000_000

    private static let maxDepth = 300

    /// Brackets that an answer may have around each other: Foundation's JSON, which writes it, takes 512.
    private static let maxBrackets = 500

    /// The value that an encoding means.
    static func value(of json: JSONValue, depth: Int = 0) throws -> Value {
        guard depth < maxDepth, case .object(let members) = json, let (kind, content) = members.first,
            members.count == 1
        else { throw ConformanceRow.Malformed(description: "not a typed value") }
        switch kind {
        case "int": return .int(try number(content, Int64.init))
        case "uint": return .uint(try number(content, UInt64.init))
        case "double": return .double(try number(content, double))
        case "string": return .text(try text(content, kind))
        case "bytes_b64":
            guard let data = Data(base64Encoded: try text(content, kind)) else {
                throw ConformanceRow.Malformed(description: "bytes_b64 is not base64")
            }
            return .bytes(ByteString(Array(data)))
        case "bool":
            guard case .bool(let bool) = content else { throw malformed(kind) }
            return .bool(bool)
        case "null": return .null
        case "list": return .list(try elements(content, kind).map { try value(of: $0, depth: depth + 1) })
        case "map":
            let entries = try elements(content, kind).map { entry in
                (
                    try value(of: entry[0] ?? nil, depth: depth + 1), try value(of: entry[1] ?? nil, depth: depth + 1)
                )
            }
            return .map(try MapValue(keys: entries.map(\.0), values: entries.map(\.1)))
        case "type": return .type(ByteString(try text(content, kind)))
        case "timestamp": return try Value(timestampText: text(content, kind))
        case "duration": return try Value(durationText: text(content, kind))
        case "optional":
            return .optional(
                content == nil ? .none : OptionalValue(try value(of: content["value"] ?? nil, depth: depth + 1))
            )
        default: throw ConformanceRow.Malformed(description: "unknown kind of value: \(kind)")
        }
    }

    private static func malformed(_ kind: String) -> ConformanceRow.Malformed {
        ConformanceRow.Malformed(description: "not a typed value of kind \(kind)")
    }

    private static func text(_ json: JSONValue, _ kind: String) throws -> String {
        guard let text = json.text else { throw malformed(kind) }
        return text
    }

    private static func elements(_ json: JSONValue, _ kind: String) throws -> [JSONValue] {
        guard let elements = json.elements else { throw malformed(kind) }
        return elements
    }

    private static func number<Number>(_ json: JSONValue, _ read: (String) -> Number?) throws -> Number {
        guard let text = json.text, let number = read(text) else {
            throw ConformanceRow.Malformed(description: "not a number: \(json)")
        }
        return number
    }

    private static func double(_ text: String) -> Double? { Double(text) }

    /// The encoding of a value.
    ///
    /// - Throws: when it has more parts than the budget, or is nested too deep.
    static func json(of value: Value, _ budget: inout Int, brackets: Int = 0) throws -> JSONValue {
        budget -= 1
        guard budget >= 0, brackets < maxBrackets else {
            throw ConformanceRow.Malformed(description: "the value is too large or too deep to write")
        }
        switch value {
        case .null: return ["null": true]
        case .bool(let bool): return ["bool": .bool(bool)]
        case .int(let int): return ["int": .string("\(int)")]
        case .uint(let uint): return ["uint": .string("\(uint)")]
        case .double(let double): return ["double": .string(text(double))]
        case .string(let text): return ["string": .string(text.text)]
        case .bytes(let bytes): return ["bytes_b64": .string(Data(bytes.bytes).base64EncodedString())]
        case .list(let elements):
            var list: [JSONValue] = []
            for element in elements { list.append(try json(of: element, &budget, brackets: brackets + 2)) }
            return ["list": .array(list)]
        case .map(let map):
            var entries: [JSONValue] = []
            for index in 0..<map.count {
                entries.append([
                    try json(of: map.keys[index], &budget, brackets: brackets + 3),
                    try json(of: map.values[index], &budget, brackets: brackets + 3),
                ])
            }
            return ["map": .array(entries)]
        case .timestamp, .duration, .network:
            return [kind(of: value): .string(value.plainText ?? "")]
        case .type(let name): return ["type": .string(name.text)]
        case .optional(let optional):
            guard let wrapped = optional.wrapped else { return ["optional": nil] }
            return ["optional": ["value": try json(of: wrapped, &budget, brackets: brackets + 2)]]
        case .error, .unset:
            throw ConformanceRow.Malformed(description: "no value")
        }
    }

    private static func kind(of value: Value) -> String {
        switch value {
        case .timestamp: "timestamp"
        case .duration: "duration"
        default: "\(value.typeName)"
        }
    }

    private static func text(_ double: Double) -> String {
        if double.isNaN { return "NaN" }
        if double.isInfinite { return double < 0 ? "-Infinity" : "Infinity" }
        return "\(double)"
    }
}
