// What the tests of the library share: calling a function as programs do, and results as one line of text, so that
// a table has inputs on the left and what comes out on the right.

import Testing

@testable import CEL

/// A function, its arguments and what comes out, as `outcome` writes it.
struct Call: Sendable, CustomTestStringConvertible {
    let function: Function
    let arguments: [Value]
    let expected: String

    init(_ function: Function, _ arguments: Value..., gives expected: String) {
        self.function = function
        self.arguments = arguments
        self.expected = expected
    }

    var testDescription: String { "\(function)(\(arguments.map(written).joined(separator: ", ")))" }
}

/// What a call gives, or why it does not; the meter has plenty.
func outcome(_ function: Function, _ arguments: [Value]) -> String {
    var meter = Meter(limit: 1_000_000)
    do throws(EvaluationError) {
        return written(try Library.call(function, arguments.span, &meter))
    } catch {
        return "\(error.reason)"
    }
}

/// Units that a call costs, and whether it was done.
func callCost(_ function: Function, _ arguments: [Value], limit: UInt64 = 1_000_000_000) -> UInt64 {
    var meter = Meter(limit: limit)
    _ = try? Library.call(function, arguments.span, &meter)
    return meter.cost
}

/// A value in one line, near to how CEL writes it.
func written(_ value: Value) -> String {
    switch value {
    case .null: "null"
    case .bool(let bool): "\(bool)"
    case .int(let int): "\(int)"
    case .uint(let uint): "\(uint)u"
    case .double(let double): "\(double)"
    case .string(let text): "\"\(text.text)\""
    case .bytes(let bytes): "b\(bytes.bytes)"
    case .list(let elements): "[\(elements.map(written).joined(separator: ", "))]"
    case .map(let map):
        "{\(zip(map.keys, map.values).map { "\(written($0)): \(written($1))" }.joined(separator: ", "))}"
    case .timestamp(let time): String(decoding: TimeText.text(time), as: UTF8.self)
    case .duration(let span): "\(span)ns"
    case .type(let name): "type \(name.text)"
    case .optional(let optional): optional.wrapped.map { "some(\(written($0)))" } ?? "none"
    case .network(let network): String(decoding: NetworkText.text(network), as: UTF8.self)
    case .error(let error): "error \(error.reason)"
    case .unset: "unset"
    }
}

/// A map of string keys.
func textMap(_ entries: KeyValuePairs<String, Value>) throws -> Value {
    .map(try MapValue(keys: entries.map { .text($0.key) }, values: entries.map(\.value)))
}

/// A timestamp or duration or network from its text.
func converted(_ function: Function, _ text: String) throws -> Value {
    var meter = Meter(limit: 100)
    return try Library.call(function, [.text(text)].span, &meter)
}
