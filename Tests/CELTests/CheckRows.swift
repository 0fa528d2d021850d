// What the tests of the check share: the conformance rows with their declarations, and types read from text.

import Foundation
import Testing

@testable import CEL

/// A row of the conformance suite, as far as the check goes.
struct CheckRow: Sendable, CustomTestStringConvertible {
    let id: String
    let expression: String
    let isChecked: Bool
    let type: String?
    let isError: Bool
    let environment: Environment

    var testDescription: String { id }

    static let plain = read("conformance.jsonl")
    static let messages = read("conformance_wkt.jsonl")
    static let all = plain + messages

    func tree() throws -> AST {
        try Parser.parse(Array(expression.utf8), options: ParserOptions(allowsBlocks: true))
    }

    private static func read(_ name: String) -> [CheckRow] {
        fixture(name).map { row in
            let declarations = row["type_env"] as? [[String: Any]] ?? []
            var variables: [Environment.Variable] = []
            var overloads: [Environment.Overload] = []
            for declaration in declarations {
                let name = declaration["name"] as? String ?? ""
                if let type = declaration["type"] as? String {
                    variables.append(Environment.Variable(name, TypeText.read(type)))
                }
                for overload in declaration["overloads"] as? [[String: Any]] ?? [] {
                    let parameters = (overload["params"] as? [String] ?? []).map(TypeText.read)
                    let result = TypeText.read(overload["result"] as? String ?? "")
                    overloads.append(
                        Environment.Overload(name, isMember: overload["member"] as? Bool == true, parameters, result)
                    )
                }
            }
            let environment = Environment(
                variables: variables,
                overloads: overloads,
                container: row["container"] as? String ?? ""
            )
            return CheckRow(
                id: row["id"] as? String ?? "",
                expression: row["expr"] as? String ?? "",
                isChecked: row["disable_check"] as? Bool != true,
                type: row["type"] as? String,
                isError: (row["expect"] as? [String: Any])?["error"] != nil,
                environment: environment
            )
        }
    }
}

/// The objects of a fixture with one on each line.
func fixture(_ name: String) -> [[String: Any]] {
    let tests = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
        .deletingLastPathComponent()
    guard let text = try? String(contentsOf: tests.appending(path: "Fixtures/cel/\(name)"), encoding: .utf8) else {
        return []
    }
    return text.split(separator: "\n").compactMap {
        (try? JSONSerialization.jsonObject(with: Data($0.utf8))) as? [String: Any]
    }
}

/// Reads types in the fixtures' notation.
enum TypeText {
    static func read(_ text: String) -> CELType {
        var rest = text[...]
        return type(&rest)
    }

    private static func type(_ rest: inout Substring) -> CELType {
        let name = String(rest.prefix { !"(), ".contains($0) })
        rest.removeFirst(name.count)
        var parameters: [CELType] = []
        if rest.first == "(" {
            rest.removeFirst()
            while rest.first != ")", !rest.isEmpty {
                parameters.append(type(&rest))
                rest = rest.drop { ", ".contains($0) }
            }
            rest = rest.dropFirst()
        }
        if name.first == "$" { return .parameter(String(name.dropFirst())) }
        return named(name, parameters)
    }

    private static let atoms: [String: CELType] = [
        "dyn": .dyn, "any": .dyn, "null_type": .null, "bool": .bool, "int": .int, "uint": .uint, "double": .double,
        "string": .string, "bytes": .bytes, "timestamp": .timestamp, "duration": .duration,
    ]

    private static func named(_ name: String, _ parameters: [CELType]) -> CELType {
        switch (name, parameters.count) {
        case ("type", _): .type(parameters.first)
        case ("list", 1): .list(parameters[0])
        case ("map", 2): .map(parameters[0], parameters[1])
        case ("wrapper", 1): .wrapper(parameters[0])
        default: atoms[name] ?? .abstract(name, parameters)
        }
    }
}
