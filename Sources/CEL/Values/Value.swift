// What expressions compute with. An enum, so that a scalar is made, copied and dropped without the heap.

/// A CEL value.
public enum Value: Sendable {
    /// `null`
    case null
    /// A boolean.
    case bool(Bool)
    /// A signed integer.
    case int(Int64)
    /// An unsigned integer.
    case uint(UInt64)
    /// A floating-point number.
    case double(Double)
    /// Text in valid UTF-8; compared and counted by code points.
    case string(ByteString)
    /// Octets.
    case bytes(ByteString)
    /// A list.
    case list([Value])
    /// A map.
    case map(MapValue)
    /// A point in time.
    case timestamp(Timestamp)
    /// A span of time, in nanoseconds.
    case duration(Int64)
    /// A type, by its name (`int`, `google.protobuf.Timestamp`, `net.IP`).
    case type(ByteString)
    /// An optional value.
    case optional(OptionalValue)
    /// An address or a network of addresses.
    case network(NetworkValue)
    /// An error on its way through `&&` and `||`; never part of another value, never a result.
    case error(EvaluationError)
    /// No value yet: a `cel.bind` variable before its first use, a request field that is absent.
    case unset
}

/// A point in time: 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999999Z.
public struct Timestamp: Hashable, Comparable, Sendable {
    /// Seconds since the Unix epoch, rounded down.
    public let seconds: Int64
    /// Nanoseconds after that second, 0..<1,000,000,000.
    public let nanoseconds: Int32

    /// Seconds of the first and the last instant that there is.
    public static let range: ClosedRange<Int64> = -62_135_596_800...253_402_300_799

    /// Makes an instant.
    ///
    /// - Throws: `.overflow` when it is outside of `range`.
    public init(seconds: Int64, nanoseconds: Int32 = 0) throws(EvaluationError) {
        guard Self.range.contains(seconds) else { throw EvaluationError(.overflow) }
        precondition((0..<1_000_000_000).contains(nanoseconds))
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    /// Earlier is less.
    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }
}

/// An optional value; a class because a value cannot contain itself.
public final class OptionalValue: Sendable {
    /// What it holds; nil for `optional.none()`.
    public let wrapped: Value?

    /// The one that holds nothing.
    public static let none = OptionalValue(nil)

    /// Makes an optional.
    public init(_ wrapped: Value?) { self.wrapped = wrapped }
}

/// An IP address, or a network of them.
public final class NetworkValue: Hashable, Sendable {
    /// The address, high half first; an IPv4 address is in the low 32 bits.
    public let high: UInt64
    /// The address's low half.
    public let low: UInt64
    /// Whether it is an IPv6 address.
    public let isIPv6: Bool
    /// Bits of the network's prefix; nil for a single address.
    public let prefixLength: Int?

    /// Makes an address or a network.
    public init(high: UInt64, low: UInt64, isIPv6: Bool, prefixLength: Int? = nil) {
        self.high = high
        self.low = low
        self.isIPv6 = isIPv6
        self.prefixLength = prefixLength
    }

    /// Bit by bit, family and prefix included.
    public static func == (left: NetworkValue, right: NetworkValue) -> Bool {
        left.high == right.high && left.low == right.low && left.isIPv6 == right.isIPv6
            && left.prefixLength == right.prefixLength
    }

    /// Hashes all of it.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(high)
        hasher.combine(low)
        hasher.combine(isIPv6)
        hasher.combine(prefixLength)
    }
}

extension Value {
    /// A string value.
    public static func text(_ text: String) -> Value { .string(ByteString(text)) }

    /// The name of the value's type, as `type(x)` gives it.
    public var typeName: StaticString {
        switch self {
        case .null: "null_type"
        case .bool: "bool"
        case .int: "int"
        case .uint: "uint"
        case .double: "double"
        case .string: "string"
        case .bytes: "bytes"
        case .list: "list"
        case .map: "map"
        case .timestamp: "google.protobuf.Timestamp"
        case .duration: "google.protobuf.Duration"
        case .type: "type"
        case .optional: "optional_type"
        case .network(let network): network.prefixLength == nil ? "net.IP" : "net.CIDR"
        case .error: "error"
        case .unset: "unset"
        }
    }

    /// The value's size as costs count it: code points, octets, elements, entries; 1 for everything else.
    ///
    /// - Source: cel-go `common/cost.go` and `interpreter/runtimecost.go`.
    var costSize: Int {
        switch self {
        case .string(let text): text.codePointCount
        case .bytes(let bytes): bytes.count
        case .list(let elements): elements.count
        case .map(let map): map.count
        default: 1
        }
    }
}

extension Value {
    /// A point in time from RFC 3339 text.
    ///
    /// - Throws: what `timestamp(text)` would.
    public init(timestampText text: String) throws(EvaluationError) {
        self = .timestamp(try TimeText.timestamp(ByteString(text)))
    }

    /// A span of time from text such as `1h30m`.
    ///
    /// - Throws: what `duration(text)` would.
    public init(durationText text: String) throws(EvaluationError) {
        self = .duration(try TimeText.duration(ByteString(text)))
    }

    /// What `string(value)` gives; nil for what it does not take.
    public var plainText: String? {
        var meter = Meter(limit: .max)
        do throws(EvaluationError) {
            guard case .string(let text) = try Conversions.string(self, &meter) else { return nil }
            return text.text
        } catch {
            return nil
        }
    }
}
