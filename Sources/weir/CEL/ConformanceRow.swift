// A row of the conformance encoding (Tests/Fixtures/cel/README.md): an expression, what it may name, and with what.

import CEL
import Stack

/// What a row asks for.
struct ConformanceRow {
    let source: [UInt8]
    let environment: Environment
    /// The variables' values, in the environment's order.
    let values: [Value]
    let options: CompiledExpression.Options
    let isCheckOnly: Bool

    struct Malformed: Error, CustomStringConvertible {
        let description: String
    }

    init(_ row: JSONValue) throws {
        guard let text = row["expr"]?.text else { throw Malformed(description: "expr is missing") }
        source = Array(text.utf8)
        isCheckOnly = row["check_only"] == true
        var options = CompiledExpression.Options()
        options.allowsBlocks = true
        options.checksTypes = row["disable_check"] != true
        self.options = options

        var variables: [Environment.Variable] = []
        var overloads: [Environment.Overload] = []
        for declaration in row["type_env"]?.elements ?? [] {
            guard let name = declaration["name"]?.text else {
                throw Malformed(description: "a declaration has no name")
            }
            if declaration["kind"]?.text == "function" {
                overloads += try (declaration["overloads"]?.elements ?? []).map { try Self.overload(name, $0) }
            } else {
                variables.append(Environment.Variable(name, try Self.type(declaration["type"])))
            }
        }
        let bindings = row["bindings"]?.members ?? [:]
        // Without a check, what is bound is known.
        if !options.checksTypes {
            for name in bindings.keys.sorted() where !variables.contains(where: { $0.name == name }) {
                variables.append(Environment.Variable(name, .dyn))
            }
        }
        environment = Environment(
            variables: variables,
            overloads: overloads,
            container: row["container"]?.text ?? ""
        )
        values = try variables.map { variable in
            guard let value = bindings[variable.name] else { return .unset }
            return try TypedValue.value(of: value)
        }
    }

    private static func overload(_ name: String, _ json: JSONValue) throws -> Environment.Overload {
        Environment.Overload(
            name,
            isMember: json["member"] == true,
            try (json["params"]?.elements ?? []).map { try type($0) },
            try type(json["result"])
        )
    }

    private static func type(_ json: JSONValue?) throws -> CELType {
        guard let text = json?.text else { throw Malformed(description: "a type is missing") }
        var reader = TypeReader(text)
        return try reader.whole()
    }
}

/// Reads types as the encoding writes them: `map(string, list($T))`.
private struct TypeReader {
    private let text: [UInt8]
    private var position = 0

    init(_ text: String) { self.text = Array(text.utf8) }

    mutating func whole() throws -> CELType {
        let type = try type(depth: 0)
        guard position == text.count else { throw malformed }
        return type
    }

    private var malformed: ConformanceRow.Malformed {
        ConformanceRow.Malformed(description: "not a type: \(String(decoding: text, as: UTF8.self))")
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        while position < text.count, text[position] == UInt8(ascii: " ") { position += 1 }
        guard position < text.count, text[position] == byte else { return false }
        position += 1
        return true
    }

    private mutating func type(depth: Int) throws -> CELType {
        guard depth < 32 else { throw malformed }
        while position < text.count, text[position] == UInt8(ascii: " ") { position += 1 }
        let start = position
        let ends: [UInt8] = [UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: ","), UInt8(ascii: " ")]
        while position < text.count, !ends.contains(text[position]) { position += 1 }
        let name = String(decoding: text[start..<position], as: UTF8.self)
        var parameters: [CELType] = []
        if take(UInt8(ascii: "(")) {
            repeat { parameters.append(try type(depth: depth + 1)) } while take(UInt8(ascii: ","))
            guard take(UInt8(ascii: ")")) else { throw malformed }
        }
        return try named(name, parameters)
    }

    private func named(_ name: String, _ parameters: [CELType]) throws -> CELType {
        switch (name, parameters.count) {
        case ("dyn", 0), ("any", 0): return .dyn
        case ("null_type", 0): return .null
        case ("bool", 0): return .bool
        case ("int", 0): return .int
        case ("uint", 0): return .uint
        case ("double", 0): return .double
        case ("string", 0): return .string
        case ("bytes", 0): return .bytes
        case ("timestamp", 0): return .timestamp
        case ("duration", 0): return .duration
        case ("type", 0): return .type(nil)
        case ("type", 1): return .type(parameters[0])
        case ("list", 1): return .list(parameters[0])
        case ("map", 2): return .map(parameters[0], parameters[1])
        case ("wrapper", 1): return .wrapper(parameters[0])
        case ("", _): throw malformed
        default:
            return name.utf8.first == UInt8(ascii: "$")
                ? .parameter(String(name.dropFirst())) : .abstract(name, parameters)
        }
    }
}
