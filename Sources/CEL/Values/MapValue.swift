// Maps as CEL has them: keys are bool, int, uint or string, and numbers that are equal are one key whatever their type.
// Entries keep the order in which they were written, so that iteration is the same everywhere.

/// A map; immutable.
public final class MapValue: Sendable {
    /// The keys, in order.
    public let keys: [Value]
    /// The values, in the keys' order.
    public let values: [Value]
    private let index: [MapKey: Int]

    /// Below this many entries, comparing one after the other is faster than hashing.
    private static let scanned = 8

    /// How many entries there are.
    public var count: Int { keys.count }

    /// The map without entries.
    public static let empty = MapValue()

    private init() {
        keys = []
        values = []
        index = [:]
    }

    /// Makes a map.
    ///
    /// - Parameters:
    ///   - keys: bool, int, uint or string; no two equal.
    ///   - values: as many.
    /// - Throws: `.unsupportedKey` or `.repeatedKey`.
    public init(keys: [Value], values: [Value]) throws(EvaluationError) {
        precondition(keys.count == values.count)
        var index: [MapKey: Int] = [:]
        if keys.count <= Self.scanned {
            for (position, key) in keys.enumerated() {
                guard let key = MapKey(key) else { throw EvaluationError(.unsupportedKey) }
                for other in 0..<position where MapKey(keys[other]) == key { throw EvaluationError(.repeatedKey) }
            }
        } else {
            index.reserveCapacity(keys.count)
            for (position, key) in keys.enumerated() {
                guard let key = MapKey(key) else { throw EvaluationError(.unsupportedKey) }
                guard index.updateValue(position, forKey: key) == nil else { throw EvaluationError(.repeatedKey) }
            }
        }
        self.keys = keys
        self.values = values
        self.index = index
    }

    /// The value under a key.
    ///
    /// - Parameter key: a double finds the integer that it is exactly.
    /// - Returns: nil when there is none, also when nothing can be under such a key.
    public func value(for key: Value) -> Value? {
        guard let position = position(of: key) else { return nil }
        return values[position]
    }

    /// Where a key stands; nil when it is not there.
    func position(of key: Value) -> Int? {
        guard let wanted = MapKey(lookup: key) else { return nil }
        guard keys.count <= Self.scanned else { return index[wanted] }
        for position in keys.indices where wanted.equals(keys[position]) { return position }
        return nil
    }

    /// The value under a string key, by its octets.
    public func value(for key: ByteString) -> Value? { value(for: .string(key)) }
}

/// A key in the one form that equal keys share.
enum MapKey: Hashable {
    case bool(Bool)
    case int(Int64)
    /// Only what is no `int`.
    case uint(UInt64)
    case string(ByteString)

    /// The form of a key that a map may have.
    init?(_ key: Value) {
        switch key {
        case .bool(let bool): self = .bool(bool)
        case .int(let int): self = .int(int)
        case .uint(let uint): self = Int64(exactly: uint).map(MapKey.int) ?? .uint(uint)
        case .string(let text): self = .string(text)
        default: return nil
        }
    }

    /// The form of what is looked up: also doubles, as far as they are integers.
    init?(lookup key: Value) {
        guard case .double(let double) = key else {
            self.init(key)
            return
        }
        if let int = Int64(exactly: double) {
            self = .int(int)
        } else if let uint = UInt64(exactly: double) {
            self = .uint(uint)
        } else {
            return nil
        }
    }

    /// Whether a map's key is this one.
    func equals(_ key: Value) -> Bool {
        switch (self, key) {
        case (.string(let one), .string(let other)): one == other
        case (.int(let one), .int(let other)): one == other
        case (.bool(let one), .bool(let other)): one == other
        case (.int(let one), .uint(let other)): one >= 0 && UInt64(one) == other
        case (.uint(let one), .uint(let other)): one == other
        default: false
        }
    }
}
