// Constants in the program format: a byte that says the type, then the value. A decoder bounds depth and count before
// it makes anything.

import Codec

/// Encodes and decodes the values that can stand in a program.
enum ConstantCodec {
    private enum Tag: UInt8 {
        case null = 0
        case no = 1
        case yes = 2
        case int = 3
        case uint = 4
        case double = 5
        case string = 6
        case bytes = 7
        case list = 8
        case map = 9
        case timestamp = 10
        case duration = 11
        case type = 12
        case none = 13
        case some = 14
        case address = 15
        case network = 16
    }

    /// Elements, entries and 64-octet runs that a constant may have; beyond this it is computed each time.
    private static let maxWeight = 4_096

    /// Whether a value is small and shallow enough to be a constant.
    static func isEncodable(_ value: Value) -> Bool {
        var weight = 0
        return isEncodable(value, depth: 0, &weight)
    }

    private static func isEncodable(_ value: Value, depth: Int, _ weight: inout Int) -> Bool {
        weight += 1
        guard depth < ProgramBounds.maxConstantDepth, weight <= maxWeight else { return false }
        switch value {
        case .string(let text), .bytes(let text):
            weight += text.count / 64
            return weight <= maxWeight
        case .list(let elements):
            for element in elements where !isEncodable(element, depth: depth + 1, &weight) { return false }
            return true
        case .map(let map):
            for value in map.keys + map.values where !isEncodable(value, depth: depth + 1, &weight) { return false }
            return true
        case .optional(let optional):
            return optional.wrapped.map { isEncodable($0, depth: depth + 1, &weight) } ?? true
        case .error, .unset: return false
        default: return true
        }
    }

    /// Writes a value; `isEncodable` said that it can be.
    static func write(_ value: Value, to writer: inout ByteWriter) {
        func tag(_ tag: Tag) { writer.write(u8: tag.rawValue) }
        switch value {
        case .null: tag(.null)
        case .bool(let bool): tag(bool ? .yes : .no)
        case .int(let int):
            tag(.int)
            writer.write(signed: int)
        case .uint(let uint):
            tag(.uint)
            writer.write(varint: uint)
        case .double(let double):
            tag(.double)
            writer.write(u64: double.bitPattern)
        case .string(let text):
            tag(.string)
            writer.write(bytes: text.bytes)
        case .bytes(let bytes):
            tag(.bytes)
            writer.write(bytes: bytes.bytes)
        case .list(let elements):
            tag(.list)
            writer.write(varint: UInt64(elements.count))
            for element in elements { write(element, to: &writer) }
        case .map(let map):
            tag(.map)
            writer.write(varint: UInt64(map.count))
            for index in 0..<map.count {
                write(map.keys[index], to: &writer)
                write(map.values[index], to: &writer)
            }
        case .timestamp(let timestamp):
            tag(.timestamp)
            writer.write(signed: timestamp.seconds)
            writer.write(varint: UInt64(timestamp.nanoseconds))
        case .duration(let nanoseconds):
            tag(.duration)
            writer.write(signed: nanoseconds)
        case .type(let name):
            tag(.type)
            writer.write(bytes: name.bytes)
        case .optional(let optional):
            tag(optional.wrapped == nil ? .none : .some)
            if let wrapped = optional.wrapped { write(wrapped, to: &writer) }
        case .network(let network):
            tag(network.prefixLength == nil ? .address : .network)
            writer.write(bool: network.isIPv6)
            writer.write(u64: network.high)
            writer.write(u64: network.low)
            if let prefix = network.prefixLength { writer.write(u8: UInt8(prefix)) }
        case .error, .unset:
            preconditionFailure("no constant")
        }
    }

    /// Reads a value from bytes that may be anybody's.
    static func read(_ reader: inout ByteReader, of source: [UInt8], depth: Int = 0) throws(CodecError) -> Value {
        let start = reader.offset
        guard depth < ProgramBounds.maxConstantDepth, let tag = Tag(rawValue: try reader.u8()) else {
            throw CodecError(.invalid, offset: start)
        }
        switch tag {
        case .null: return .null
        case .no: return .bool(false)
        case .yes: return .bool(true)
        case .int: return .int(try reader.signed())
        case .uint: return .uint(try reader.varint())
        case .double: return .double(Double(bitPattern: try reader.u64()))
        case .string: return .string(try text(&reader, of: source))
        case .bytes: return .bytes(ByteString(source, in: try reader.slice(max: ProgramBounds.maxBytes)))
        case .list: return .list(try list(&reader, of: source, depth: depth))
        case .map: return .map(try map(&reader, of: source, depth: depth, start: start))
        case .timestamp: return .timestamp(try timestamp(&reader, start: start))
        case .duration: return .duration(try reader.signed())
        case .type: return .type(try text(&reader, of: source))
        case .none: return .optional(.none)
        case .some: return .optional(OptionalValue(try read(&reader, of: source, depth: depth + 1)))
        case .address, .network: return .network(try network(&reader, hasPrefix: tag == .network, start: start))
        }
    }

    /// Text that shares the bytes that it was read from.
    static func text(_ reader: inout ByteReader, of source: [UInt8]) throws(CodecError) -> ByteString {
        let start = reader.offset
        let text = ByteString(source, in: try reader.slice(max: ProgramBounds.maxBytes))
        guard text.isValidUTF8 else { throw CodecError(.invalid, offset: start) }
        return text
    }

    private static func list(
        _ reader: inout ByteReader,
        of source: [UInt8],
        depth: Int
    ) throws(CodecError) -> [Value] {
        let count = try reader.count(max: ProgramBounds.maxBytes)
        var elements: [Value] = []
        elements.reserveCapacity(count)
        for _ in 0..<count { elements.append(try read(&reader, of: source, depth: depth + 1)) }
        return elements
    }

    private static func map(
        _ reader: inout ByteReader,
        of source: [UInt8],
        depth: Int,
        start: Int
    ) throws(CodecError) -> MapValue {
        let count = try reader.count(max: ProgramBounds.maxBytes, bytesEach: 2)
        var keys: [Value] = []
        var values: [Value] = []
        for _ in 0..<count {
            keys.append(try read(&reader, of: source, depth: depth + 1))
            values.append(try read(&reader, of: source, depth: depth + 1))
        }
        do throws(EvaluationError) {
            return try MapValue(keys: keys, values: values)
        } catch {
            throw CodecError(.invalid, offset: start)
        }
    }

    private static func timestamp(_ reader: inout ByteReader, start: Int) throws(CodecError) -> Timestamp {
        let seconds = try reader.signed()
        let nanoseconds = try reader.varint()
        guard Timestamp.range.contains(seconds), nanoseconds < 1_000_000_000 else {
            throw CodecError(.invalid, offset: start)
        }
        do throws(EvaluationError) {
            return try Timestamp(seconds: seconds, nanoseconds: Int32(nanoseconds))
        } catch {
            throw CodecError(.invalid, offset: start)
        }
    }

    private static func network(
        _ reader: inout ByteReader,
        hasPrefix: Bool,
        start: Int
    ) throws(CodecError) -> NetworkValue {
        let isIPv6 = try reader.bool()
        let high = try reader.u64()
        let low = try reader.u64()
        let prefix = hasPrefix ? Int(try reader.u8()) : nil
        guard isIPv6 || high == 0 && low <= UInt64(UInt32.max), (prefix ?? 0) <= (isIPv6 ? 128 : 32) else {
            throw CodecError(.invalid, offset: start)
        }
        return NetworkValue(high: high, low: low, isIPv6: isIPv6, prefixLength: prefix)
    }
}
