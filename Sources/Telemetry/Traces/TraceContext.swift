// Where a request stands in a trace that began elsewhere, as W3C Trace Context carries it between programs.

/// A trace: 16 bytes, never all zero.
public struct TraceID: Hashable, Sendable, CustomStringConvertible {
    /// The first eight bytes, the most significant first.
    public let high: UInt64
    /// The last eight bytes; random, so that a sampler may go by them.
    public let low: UInt64

    /// Makes an id; all zero is no id.
    public init?(high: UInt64, low: UInt64) {
        guard high | low != 0 else { return nil }
        self.high = high
        self.low = low
    }

    /// Draws a new id.
    public static func random(using generator: inout some RandomNumberGenerator) -> TraceID {
        while true {
            if let id = TraceID(high: generator.next(), low: generator.next()) { return id }
        }
    }

    /// 32 lower-case hexadecimal digits.
    public var description: String { Hexadecimal.text(high) + Hexadecimal.text(low) }

    /// As OTLP has it.
    public var bytes: [UInt8] { Hexadecimal.bigEndian(high) + Hexadecimal.bigEndian(low) }
}

/// A span within a trace: eight bytes, never all zero.
public struct SpanID: Hashable, Sendable, CustomStringConvertible {
    /// The bytes, the most significant first.
    public let value: UInt64

    /// Makes an id; zero is no id.
    public init?(_ value: UInt64) {
        guard value != 0 else { return nil }
        self.value = value
    }

    /// Draws a new id.
    public static func random(using generator: inout some RandomNumberGenerator) -> SpanID {
        while true {
            if let id = SpanID(generator.next()) { return id }
        }
    }

    /// 16 lower-case hexadecimal digits.
    public var description: String { Hexadecimal.text(value) }

    /// As OTLP has it.
    public var bytes: [UInt8] { Hexadecimal.bigEndian(value) }
}

/// A span and its trace, as one program tells them to the next.
public struct TraceContext: Hashable, Sendable {
    /// The bytes of a `traceparent`.
    static let length = 55

    /// The trace.
    public let traceID: TraceID
    /// The span that others are children of.
    public let spanID: SpanID
    /// Whether whoever is before us records the trace.
    public let isSampled: Bool
    /// What tracing systems have to say to themselves.
    public let state: TraceState

    /// Makes a context.
    public init(traceID: TraceID, spanID: SpanID, isSampled: Bool, state: TraceState = TraceState()) {
        self.traceID = traceID
        self.spanID = spanID
        self.isSampled = isSampled
        self.state = state
    }

    /// Reads the headers of a request; allocates only for a `tracestate`.
    ///
    /// nil when the parent is not valid: the trace then begins here. A `tracestate` that is not valid is dropped, and the
    /// parent kept.
    ///
    /// - Parameters:
    ///   - parent: the value of `traceparent`, of which there must be one.
    ///   - state: the values of `tracestate`, joined by commas when there are several.
    /// - Source: W3C Trace Context, level 1, sections 3.2 and 3.3.
    public init?(parent: Span<UInt8>, state: Span<UInt8>? = nil) {
        guard parent.count >= Self.length, parent[2] == UInt8(ascii: "-"), parent[35] == UInt8(ascii: "-"),
            parent[52] == UInt8(ascii: "-"),
            let version = Hexadecimal.value(parent.extracting(0..<2)), version != 0xFF,
            let high = Hexadecimal.value(parent.extracting(3..<19)),
            let low = Hexadecimal.value(parent.extracting(19..<35)),
            let span = Hexadecimal.value(parent.extracting(36..<52)),
            let flags = Hexadecimal.value(parent.extracting(53..<55)),
            let traceID = TraceID(high: high, low: low), let spanID = SpanID(span)
        else { return nil }
        // Later versions may add fields, not change these.
        guard parent.count == Self.length || (version > 0 && parent[Self.length] == UInt8(ascii: "-")) else {
            return nil
        }
        var kept = TraceState()
        if let state, let valid = TraceState(state) { kept = valid }
        self.init(traceID: traceID, spanID: spanID, isSampled: flags & 1 != 0, state: kept)
    }

    /// The value of `traceparent`, of version 00.
    public var parent: String { "00-\(traceID)-\(spanID)-\(isSampled ? "01" : "00")" }
}

/// What tracing systems tell themselves along a trace; passed on as it came.
public struct TraceState: Hashable, Sendable {
    /// The most members, and the most bytes, that are passed on.
    public static let maxMembers = 32, maxBytes = 512

    /// The header's value; empty for none.
    public let text: String

    /// Says nothing.
    public init() { text = "" }

    /// Checks a header's value; nil when it breaks the grammar, repeats a key or is too long.
    public init?(_ value: Span<UInt8>) {
        guard value.count <= Self.maxBytes else { return nil }
        var keys: [[UInt8]] = []
        var start = 0
        while start <= value.count {
            var end = start
            while end < value.count, value[end] != UInt8(ascii: ",") { end += 1 }
            let member = Self.trimmed(value, start..<end)
            start = end + 1
            guard !member.isEmpty else { continue }  // empty members are allowed
            guard let equals = member.firstIndex(of: UInt8(ascii: "=")) else { return nil }
            let key = Array(member[..<equals])
            guard Self.isKey(key), Self.isValue(member[(equals + 1)...]), !keys.contains(key) else { return nil }
            keys.append(key)
            guard keys.count <= Self.maxMembers else { return nil }
        }
        var bytes: [UInt8] = []
        for index in value.indices { bytes.append(value[index]) }
        text = String(decoding: bytes, as: UTF8.self)
    }

    private static func trimmed(_ value: Span<UInt8>, _ range: Range<Int>) -> ArraySlice<UInt8> {
        func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
        var bytes: [UInt8] = []
        for index in range { bytes.append(value[index]) }
        let first = bytes.firstIndex { !isBlank($0) } ?? bytes.endIndex
        let last = bytes.lastIndex { !isBlank($0) }.map { $0 + 1 } ?? first
        return bytes[first..<last]
    }

    /// `[a-z0-9][a-z0-9_\-*/]{0,255}`, or a tenant of up to 241 such characters before `@` and a system of up to 14.
    private static func isKey(_ key: [UInt8]) -> Bool {
        func isLower(_ byte: UInt8) -> Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) }
        func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
        func isRest(_ byte: UInt8) -> Bool { isLower(byte) || isDigit(byte) || "_-*/".utf8.contains(byte) }
        let parts = key.split(separator: UInt8(ascii: "@"), omittingEmptySubsequences: false)
        guard let first = parts[0].first, parts[0].allSatisfy(isRest) else { return false }
        if parts.count == 1 { return key.count <= 256 && (isLower(first) || isDigit(first)) }
        guard parts.count == 2, let system = parts[1].first else { return false }
        return parts[0].count <= 241 && (isLower(first) || isDigit(first)) && parts[1].count <= 14 && isLower(system)
            && parts[1].allSatisfy(isRest)
    }

    private static func isValue(_ value: ArraySlice<UInt8>) -> Bool {
        (1...256).contains(value.count) && value.last != UInt8(ascii: " ")
            && value.allSatisfy { (0x20...0x7E).contains($0) && $0 != UInt8(ascii: "=") && $0 != UInt8(ascii: ",") }
    }
}

/// Sixteen digits and back.
enum Hexadecimal {
    private static let digits = Array("0123456789abcdef".utf8)

    /// Sixteen lower-case digits.
    static func text(_ value: UInt64) -> String {
        unsafe String(unsafeUninitializedCapacity: 16) { buffer in
            for index in 0..<16 { unsafe buffer[index] = digits[Int(value >> UInt64(60 - index * 4) & 15)] }
            return 16
        }
    }

    static func bigEndian(_ value: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: value >> UInt64(56 - $0 * 8)) }
    }

    /// Reads up to sixteen lower-case digits; upper-case ones are not valid in these headers.
    static func value(_ text: Span<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        for index in text.indices {
            switch text[index] {
            case let byte where (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte):
                value = value << 4 | UInt64(byte - UInt8(ascii: "0"))
            case let byte where (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte):
                value = value << 4 | UInt64(byte - UInt8(ascii: "a") + 10)
            default: return nil
            }
        }
        return value
    }
}
