// What the syntax tests share: a tree as one line of text, and the rows of the conformance suite.

import Foundation
import Testing

@testable import CEL

extension AST {
    /// The tree as `(function operands…)`; offsets and depths are left out.
    var text: String { text(root) }

    func text(_ id: NodeID) -> String {
        switch nodes[id].kind {
        case .literal(let value): value.syntax
        case .identifier(let name, let isRooted): (isRooted ? "." : "") + name
        case .select(let operand, let field, let form):
            switch form {
            case .plain: "\(text(operand)).\(field)"
            case .optional: "\(text(operand)).?\(field)"
            case .presence: "has(\(text(operand)).\(field))"
            }
        case .index(let operand, let index, let isOptional): "\(text(operand))[\(isOptional ? "?" : "")\(text(index))]"
        case .call(let name, let receiver, let arguments):
            "(" + ([receiver.map { "\(text($0)):\(name)" } ?? name] + arguments.map(text)).joined(separator: " ") + ")"
        case .list(let elements, let optional):
            "[" + zip(elements, optional).map { ($1 ? "?" : "") + text($0) }.joined(separator: ", ") + "]"
        case .map(let entries):
            "{"
                + entries.map { "\($0.isOptional ? "?" : "")\(text($0.key)): \(text($0.value))" }.joined(
                    separator: ", "
                )
                + "}"
        case .message(let name, let fields):
            name + "{"
                + fields.map { "\($0.isOptional ? "?" : "")\($0.name): \(text($0.value))" }.joined(separator: ", ")
                + "}"
        case .and(let operands): "(&& " + operands.map(text).joined(separator: " ") + ")"
        case .or(let operands): "(|| " + operands.map(text).joined(separator: " ") + ")"
        case .conditional(let condition, let then, let otherwise):
            "(? \(text(condition)) \(text(then)) \(text(otherwise)))"
        case .comprehension(let macro):
            "(\(macro.kind) \(text(macro.range)) \(macro.variable)\(macro.secondVariable.map { ",\($0)" } ?? "")"
                + "\(macro.filter.map { " if \(text($0))" } ?? "") => \(text(macro.body)))"
        case .bind(let name, let initialiser, let body): "(bind \(name) \(text(initialiser)) => \(text(body)))"
        case .block(let slots, let body):
            "(block [" + slots.map(text).joined(separator: ", ") + "] => \(text(body)))"
        }
    }

    /// What must hold of any tree; nil when it does.
    var flaw: String? {
        guard nodes.indices.contains(root) else { return "the root is no node" }
        var isChild = [Bool](repeating: false, count: nodes.count)
        for (id, node) in nodes.enumerated() {
            var below = 0
            var flaw: String?
            node.kind.forEachChild { child in
                guard child >= 0, child < id else {
                    flaw = "child \(child) does not precede its parent \(id)"
                    return
                }
                if isChild[child] { flaw = "\(child) has two parents" }
                isChild[child] = true
                below = max(below, nodes[child].depth)
            }
            if let flaw { return flaw }
            if node.depth != below + 1 { return "\(id) is \(below + 1) deep, not \(node.depth)" }
            if node.depth > Parser.maxDepth { return "\(id) is too deep" }
        }
        return isChild.enumerated().first { $0.element == ($0.offset == root) }.map { "\($0.offset) hangs in the air" }
    }
}

extension Value {
    /// As source text, near enough to tell values and types apart.
    var syntax: String {
        switch self {
        case .null: "null"
        case .bool(let bool): "\(bool)"
        case .int(let int): "\(int)"
        case .uint(let uint): "\(uint)u"
        case .double(let double): "\(double)"
        case .string(let text): "\"\(text.text)\""
        case .bytes(let bytes): "b" + bytes.bytes.map { String($0, radix: 16) }.joined(separator: ".")
        default: "\(self)"
        }
    }
}

/// A row of the conformance suite, as far as syntax goes.
struct SyntaxRow: Sendable, CustomTestStringConvertible {
    let id: String
    let expression: String
    /// The expected value as `Value.syntax` has it, of kinds that literals have.
    let literal: String?

    var testDescription: String { id }

    static let all = ["conformance.jsonl", "conformance_wkt.jsonl"].flatMap(read)

    private static func read(_ name: String) -> [SyntaxRow] {
        let tests = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
            .deletingLastPathComponent()
        guard let text = try? String(contentsOf: tests.appending(path: "Fixtures/cel/\(name)"), encoding: .utf8) else {
            return []
        }
        return text.split(separator: "\n").compactMap { line in
            guard let row = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any],
                let id = row["id"] as? String, let expression = row["expr"] as? String
            else { return nil }
            let value = (row["expect"] as? [String: Any])?["value"] as? [String: Any]
            return SyntaxRow(id: id, expression: expression, literal: value.flatMap(literal))
        }
    }

    private static func literal(_ value: [String: Any]) -> String? {
        if value["null"] != nil { return "null" }
        if let bool = value["bool"] as? Bool { return "\(bool)" }
        if let int = value["int"] as? String { return int }
        if let uint = value["uint"] as? String { return uint + "u" }
        if let double = value["double"] as? String { return Double(double).map { "\($0)" } }
        if let text = value["string"] as? String { return "\"\(text)\"" }
        if let encoded = value["bytes_b64"] as? String, let bytes = Data(base64Encoded: encoded) {
            return Value.bytes(ByteString(Array(bytes))).syntax
        }
        return nil
    }
}
