// As much of JSON Schema and OpenAPI as schemas/openapi.yaml uses, to hold answers against it.

import Stack
import Testing
import Yams

@testable import ControlPlane

/// Compares answers with the document.
struct AnswerChecker {
    let document: JSON

    /// What differs from what the operation's answer of this status should be; empty when nothing.
    func faults(of reply: Reply, operation id: String) -> [String] {
        let operations = (document["paths"]?.members ?? []).flatMap(\.value.members)
        guard let operation = operations.first(where: { $0.value["operationId"]?.stringValue == id })?.value else {
            return ["no operation \(id)"]
        }
        let responses = operation["responses"]
        guard let response = (responses?[String(reply.status)] ?? responses?["default"]).map(resolve) else {
            return ["status \(reply.status) is not described"]
        }
        var faults: [String] = []
        for header in response["headers"]?.members ?? [] where reply.header(header.name) == nil {
            faults.append("header \(header.name) is missing")
        }
        guard let content = response["content"]?.members.first else {
            return faults + (reply.response.body.isEmpty ? [] : ["a body that is not described"])
        }
        guard reply.header("content-type") == content.name else {
            return faults + ["content type \(reply.header("content-type") ?? "none"), not \(content.name)"]
        }
        guard content.name.contains("json"), let schema = content.value["schema"] else { return faults }
        return faults + self.faults(of: reply.json, schema: schema, at: "")
    }

    /// What differs between a value and a schema.
    func faults(of value: JSON, schema unresolved: JSON, at path: String) -> [String] {
        let schema = resolve(unresolved)
        var faults: [String] = []
        if let type = schema["type"] {
            let names = type.arrayValue?.compactMap(\.stringValue) ?? [type.stringValue ?? ""]
            guard names.contains(where: { Self.isA($0, value) }) else {
                return ["\(path): not \(names.joined(separator: " or "))"]
            }
        }
        if let allowed = schema["enum"]?.arrayValue, !allowed.contains(value) { faults.append("\(path): not in enum") }
        if let elements = value.arrayValue, let items = schema["items"] {
            for (index, element) in elements.enumerated() {
                faults += self.faults(of: element, schema: items, at: "\(path)/\(index)")
            }
        }
        guard case .object(let members) = value else { return faults }
        for name in schema["required"]?.arrayValue?.compactMap(\.stringValue) ?? [] where value[name] == nil {
            faults.append("\(path)/\(name): missing")
        }
        for member in members {
            if let property = schema["properties"]?[member.name] {
                faults += self.faults(of: member.value, schema: property, at: "\(path)/\(member.name)")
            } else if schema["additionalProperties"] == .bool(false) {
                faults.append("\(path)/\(member.name): not described")
            }
        }
        return faults
    }

    private func resolve(_ node: JSON) -> JSON {
        guard let reference = node["$ref"]?.stringValue else { return node }
        var target = document
        for part in reference.split(separator: "/").dropFirst() { target = target[String(part)] ?? .null }
        return target
    }

    private static func isA(_ type: String, _ value: JSON) -> Bool {
        switch (type, value) {
        case ("object", .object), ("array", .array), ("string", .string), ("boolean", .bool), ("integer", .integer),
            ("number", .integer), ("number", .number), ("null", .null):
            true
        default: false
        }
    }
}

extension JSON {
    /// The members of an object; none of anything else.
    var members: [Member] {
        guard case .object(let members) = self else { return [] }
        return members
    }

    /// A YAML node of the core schema.
    init(yaml node: Node) {
        switch node {
        case .mapping(let mapping):
            self = .object(mapping.map { Member(name: $0.key.string ?? "", value: JSON(yaml: $0.value)) })
        case .sequence(let sequence): self = .array(sequence.map { JSON(yaml: $0) })
        case .scalar(let scalar):
            if scalar.style == .plain, let integer = Int64(scalar.string) {
                self = .integer(integer)
            } else if scalar.style == .plain, scalar.string == "true" || scalar.string == "false" {
                self = .bool(scalar.string == "true")
            } else if scalar.style == .plain, scalar.string == "null" {
                self = .null
            } else {
                self = .string(scalar.string)
            }
        case .alias: self = .null
        }
    }
}

extension JSON: ExpressibleByArrayLiteral {
    init(arrayLiteral elements: JSON...) { self = .array(elements) }
}
