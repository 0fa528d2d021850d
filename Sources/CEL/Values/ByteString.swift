// Text and bytes as CEL has them: octets, never Swift's characters, whose equality folds canonical equivalents. A value
// is a slice, so that `substring`, `split` and what a request lends are not copied.

private import Glibc

/// A run of octets inside an array that it shares: UTF-8 for strings, anything for bytes.
public struct ByteString: Sendable {
    /// The array that the octets lie in.
    public let storage: [UInt8]
    private let start: UInt32
    private let length: UInt32

    /// The most octets that a value can have.
    public static let maxCount = Int(UInt32.max) / 2

    /// Where the octets lie in `storage`.
    @inline(__always)
    public var range: Range<Int> { Int(start)..<Int(start) + Int(length) }

    /// How many octets there are.
    @inline(__always)
    public var count: Int { Int(length) }

    /// Whether there is none.
    public var isEmpty: Bool { length == 0 }

    /// All of an array; nothing is copied.
    @inline(__always)
    public init(_ bytes: [UInt8]) {
        precondition(bytes.count <= Self.maxCount, "a value's bytes are bounded long before this")
        storage = bytes
        start = 0
        length = UInt32(bytes.count)
    }

    /// A part of an array; nothing is copied.
    ///
    /// - Parameters:
    ///   - bytes: the array.
    ///   - range: a range inside it.
    public init(_ bytes: [UInt8], in range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count && bytes.count <= Self.maxCount)
        storage = bytes
        start = UInt32(range.lowerBound)
        length = UInt32(range.count)
    }

    /// A Swift string's UTF-8.
    public init(_ text: String) { self.init(Array(text.utf8)) }

    /// A part of this one; offsets count from its own start.
    public func slice(_ part: Range<Int>) -> ByteString {
        ByteString(storage, in: range.lowerBound + part.lowerBound..<range.lowerBound + part.upperBound)
    }

    /// The octets, copied unless they are all of their array.
    public var bytes: [UInt8] { range == storage.indices ? storage : Array(storage[range]) }

    /// The text, with U+FFFD where it is no UTF-8.
    ///
    /// For messages and tests, not for comparing.
    public var text: String { String(decoding: storage[range], as: UTF8.self) }

    /// The octet at an offset, 0 ..< `count`.
    @inline(__always)
    public subscript(offset: Int) -> UInt8 { storage[Int(start) + offset] }

    /// Code points, for text that is valid UTF-8: octets that do not continue one.
    public var codePointCount: Int {
        let span = storage.span.extracting(range)
        var total = 0
        for index in span.indices where span[index] & 0xC0 != 0x80 { total += 1 }
        return total
    }
}

extension ByteString: Hashable {
    /// Octet by octet.
    public static func == (left: ByteString, right: ByteString) -> Bool {
        guard left.length == right.length else { return false }
        // The ranges lie inside their arrays since `init`, and are of one length: `memcmp` reads nothing else.
        return unsafe left.storage.withUnsafeBufferPointer { one in
            unsafe right.storage.withUnsafeBufferPointer { other in
                guard left.length > 0, let one = one.baseAddress, let other = other.baseAddress else { return true }
                return unsafe memcmp(one + Int(left.start), other + Int(right.start), Int(left.length)) == 0
            }
        }
    }

    /// Hashes the octets.
    public func hash(into hasher: inout Hasher) {
        for octet in storage[range] { hasher.combine(octet) }
    }

    /// Octets in order, which for UTF-8 is the order of code points: negative, 0 or positive.
    public func compare(_ other: ByteString) -> Int {
        let shorter = Swift.min(length, other.length)
        // As in `==`.
        let order = unsafe storage.withUnsafeBufferPointer { one in
            unsafe other.storage.withUnsafeBufferPointer { two in
                guard shorter > 0, let one = one.baseAddress, let two = two.baseAddress else { return Int32(0) }
                return unsafe memcmp(one + Int(start), two + Int(other.start), Int(shorter))
            }
        }
        return order != 0 ? Int(order) : count - other.count
    }
}
