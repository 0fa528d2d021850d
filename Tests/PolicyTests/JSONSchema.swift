// As much of JSON Schema (draft 2020-12) as the policy schemas use. A keyword it does not know fails the test rather
// than passing silently, so that a schema cannot say something that nobody checks.

import Foundation
import Policy

/// A schema, read from its file.
struct JSONSchema {
    enum Trouble: Error {
        case keyword(String)
        case pattern(String)
        case reference(String)
        case notAnObject
    }

    private let root: [String: ConfigValue]

    init(_ bytes: [UInt8]) throws {
        guard case .object(let object) = try JSONDecoder().decode(ConfigValue.self, from: Data(bytes)) else {
            throw Trouble.notAnObject
        }
        root = object
    }

    var keywords: [String: ConfigValue] { root }

    func accepts(_ value: ConfigValue) throws -> Bool { try accepts(value, .object(root)) }

    private func accepts(_ value: ConfigValue, _ schema: ConfigValue) throws -> Bool {
        guard case .object(let keywords) = schema else { throw Trouble.notAnObject }
        return try keywords.allSatisfy { try holds($0.key, $0.value, value, keywords) }
    }

    private func holds(
        _ keyword: String,
        _ operand: ConfigValue,
        _ value: ConfigValue,
        _ schema: [String: ConfigValue]
    ) throws -> Bool {
        switch (keyword, operand) {
        case ("$schema", _), ("$defs", _), ("title", _), ("description", _), ("examples", _), ("default", _):
            return true
        case ("$ref", .string(let reference)):
            guard reference.hasPrefix("#/$defs/"), case .object(let definitions)? = root["$defs"],
                let target = definitions[String(reference.dropFirst(8))]
            else { throw Trouble.reference(reference) }
            return try accepts(value, target)
        case ("type", .string(let type)):
            return isOf(type, value)
        case ("enum", .array(let members)):
            return members.contains(value)
        case ("oneOf", .array(let schemas)):
            return try schemas.filter { try accepts(value, $0) }.count == 1
        case ("anyOf", .array(let options)):
            return try options.contains { try accepts(value, $0) }
        case ("minimum", .integer(let bound)):
            return number(value).map { $0 >= Double(bound) } ?? true
        case ("maximum", .integer(let bound)):
            return number(value).map { $0 <= Double(bound) } ?? true
        case ("minLength", .integer(let count)), ("maxLength", .integer(let count)):
            guard case .string(let text) = value else { return true }
            let length = Int64(text.unicodeScalars.count)
            return keyword == "minLength" ? length >= count : length <= count
        case ("pattern", .string(let pattern)):
            guard case .string(let text) = value else { return true }
            return try matches(text, pattern)
        case ("maxItems", .integer(let bound)):
            guard case .array(let items) = value else { return true }
            return items.count <= bound
        case ("uniqueItems", .bool(true)):
            guard case .array(let items) = value else { return true }
            return items.indices.allSatisfy { !items[..<$0].contains(items[$0]) }
        case ("items", _):
            guard case .array(let items) = value else { return true }
            return try items.allSatisfy { try accepts($0, operand) }
        case ("properties", .object(let properties)):
            guard case .object(let members) = value else { return true }
            return try members.allSatisfy { name, member in
                try properties[name].map { try accepts(member, $0) } ?? true
            }
        case ("additionalProperties", .bool(false)):
            guard case .object(let members) = value else { return true }
            guard case .object(let known)? = schema["properties"] else { return members.isEmpty }
            return members.keys.allSatisfy { known[$0] != nil }
        case ("required", .array(let names)):
            guard case .object(let members) = value else { return true }
            return try names.allSatisfy { members[try text($0)] != nil }
        case ("dependentRequired", .object(let rules)):
            guard case .object(let members) = value else { return true }
            return try rules.allSatisfy { name, needed in
                guard members[name] != nil else { return true }
                guard case .array(let names) = needed else { throw Trouble.keyword(keyword) }
                return try names.allSatisfy { members[try text($0)] != nil }
            }
        case ("dependentSchemas", .object(let rules)):
            guard case .object(let members) = value else { return true }
            return try rules.allSatisfy { name, schema in
                try members[name] == nil || accepts(value, schema)
            }
        default:
            throw Trouble.keyword(keyword)
        }
    }

    private func isOf(_ type: String, _ value: ConfigValue) -> Bool {
        switch (type, value) {
        case ("object", .object), ("array", .array), ("string", .string), ("integer", .integer): true
        case ("integer", .number(let number)): number == number.rounded()
        default: false
        }
    }

    private func number(_ value: ConfigValue) -> Double? {
        switch value {
        case .integer(let integer): Double(integer)
        case .number(let number): number
        default: nil
        }
    }

    private func text(_ value: ConfigValue) throws -> String {
        guard case .string(let text) = value else { throw Trouble.notAnObject }
        return text
    }

    /// ECMA-262's `$` is the end of the text; ICU's would also match before a last line feed.
    private func matches(_ text: String, _ pattern: String) throws -> Bool {
        let expression = try NSRegularExpression(pattern: pattern.replacing("$", with: "\\z"))
        return expression.firstMatch(in: text, range: NSRange(text.startIndex..., in: text)) != nil
    }
}
