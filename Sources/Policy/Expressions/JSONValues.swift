// The request's `metadata` for rules. The body was scanned and is valid JSON, so this reads it without asking again
// whether it is; it stays inside its slice whatever it meets.

import CEL
import LLMWire

/// JSON text as CEL values: whole numbers are `int` (what does not fit is `double`), others `double`.
struct JSONValues {
    private let body: [UInt8]
    private var position: Int
    private let end: Int

    /// The scan bounds a body's nesting to this; a deeper value is not made.
    private static let maxDepth = 64

    private init(_ body: [UInt8], _ slice: JSONSlice) {
        self.body = body
        position = Int(slice.start)
        end = min(Int(slice.start) + Int(slice.count), body.count)
    }

    /// The object at the slice.
    static func object(in body: [UInt8], at slice: JSONSlice) -> Value {
        var reader = JSONValues(body, slice)
        return reader.value(depth: 0)
    }

    /// A member of the object at the slice; the others are passed over.
    ///
    /// - Returns: `.unset` when it has none of that name.
    static func member(_ name: ByteString, in body: [UInt8], at slice: JSONSlice) -> Value {
        var reader = JSONValues(body, slice)
        reader.skipBlanks()
        guard reader.take(UInt8(ascii: "{")) else { return .error(EvaluationError(.noSuchOverload)) }
        while let key = reader.key() {
            if key == name { return reader.value(depth: 1) }
            _ = reader.value(depth: 1)
            reader.skipBlanks()
            guard reader.take(UInt8(ascii: ",")) else { break }
        }
        return .unset
    }

    private var next: UInt8? { position < end ? body[position] : nil }

    private mutating func skipBlanks() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        position += 1
        return true
    }

    /// A member's name with its colon; nil at the end of the object.
    private mutating func key() -> ByteString? {
        skipBlanks()
        guard let text = string() else { return nil }
        skipBlanks()
        return take(UInt8(ascii: ":")) ? text : nil
    }

    private mutating func value(depth: Int) -> Value {
        skipBlanks()
        guard depth <= Self.maxDepth, let byte = next else { return .error(EvaluationError(.malformedText)) }
        switch byte {
        case UInt8(ascii: "{"): return object(depth: depth)
        case UInt8(ascii: "["): return array(depth: depth)
        case UInt8(ascii: "\""): return string().map { .string($0) } ?? .error(EvaluationError(.malformedText))
        case UInt8(ascii: "t"): return word(4, .bool(true))
        case UInt8(ascii: "f"): return word(5, .bool(false))
        case UInt8(ascii: "n"): return word(4, .null)
        default: return number()
        }
    }

    private mutating func word(_ count: Int, _ value: Value) -> Value {
        position = min(position + count, end)
        return value
    }

    private mutating func object(depth: Int) -> Value {
        position += 1
        var keys: [Value] = []
        var values: [Value] = []
        while let key = key() {
            let value = value(depth: depth + 1)
            if case .error = value { return value }
            keys.append(.string(key))
            values.append(value)
            skipBlanks()
            guard take(UInt8(ascii: ",")) else { break }
        }
        guard closes(UInt8(ascii: "}")) else { return .error(EvaluationError(.malformedText)) }
        do throws(EvaluationError) {
            return .map(try MapValue(keys: keys, values: values))
        } catch {
            return .error(error)
        }
    }

    private mutating func array(depth: Int) -> Value {
        position += 1
        var elements: [Value] = []
        skipBlanks()
        if take(UInt8(ascii: "]")) { return .list([]) }
        repeat {
            let value = value(depth: depth + 1)
            if case .error = value { return value }
            elements.append(value)
            skipBlanks()
        } while take(UInt8(ascii: ","))
        return closes(UInt8(ascii: "]")) ? .list(elements) : .error(EvaluationError(.malformedText))
    }

    private mutating func closes(_ byte: UInt8) -> Bool {
        skipBlanks()
        return take(byte)
    }

    /// A string; nil when there is none here.
    private mutating func string() -> ByteString? {
        guard take(UInt8(ascii: "\"")) else { return nil }
        let start = position
        var hasEscapes = false
        while let byte = next, byte != UInt8(ascii: "\"") {
            if byte == UInt8(ascii: "\\") {
                hasEscapes = true
                position += 1
            }
            position += 1
        }
        let stop = min(position, end)
        guard take(UInt8(ascii: "\"")) else { return nil }
        guard hasEscapes else { return ByteString(body, in: start..<stop) }
        let slice = JSONSlice(start: Int32(start), count: Int32(stop - start), hasEscapes: true)
        return ByteString(slice.decoded(in: body.span))
    }

    private mutating func number() -> Value {
        let start = position
        while let byte = next, isNumeric(byte) { position += 1 }
        let text = String(decoding: body[start..<position], as: UTF8.self)
        if let integer = Int64(text) { return .int(integer) }
        guard position > start, let number = Double(text) else { return .error(EvaluationError(.malformedText)) }
        return .double(number)
    }

    private func isNumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."),
            UInt8(ascii: "e"), UInt8(ascii: "E"):
            true
        default: false
        }
    }
}
