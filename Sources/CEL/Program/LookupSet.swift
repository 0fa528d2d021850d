// `x in ["a", "b", …]` with a literal list, which is what allowlists in rules are: sorted once, then a few comparisons
// instead of one for each element.

/// The elements of a literal list of strings or of integers.
struct LookupSet: Sendable {
    /// The elements as the list has them: what an answer means, and what a `double` is compared with.
    let elements: [Value]
    private let strings: [ByteString]
    private let integers: [Int64]

    /// Makes a set.
    ///
    /// - Returns: nil unless the elements are all strings, or all `int`, and not none.
    init?(_ elements: [Value]) {
        var strings: [ByteString] = []
        var integers: [Int64] = []
        for element in elements {
            switch element {
            case .string(let text): strings.append(text)
            case .int(let integer): integers.append(integer)
            default: return nil
            }
        }
        guard !elements.isEmpty, strings.isEmpty || integers.isEmpty else { return nil }
        self.elements = elements
        self.strings = strings.sorted { Self.order($0, $1) < 0 }
        self.integers = integers.sorted()
    }

    /// By length first: most comparisons end there.
    @inline(__always)
    private static func order(_ one: ByteString, _ other: ByteString) -> Int {
        one.count == other.count ? one.compare(other) : one.count - other.count
    }

    /// Whether an element equals the value, as `==` does.
    func contains(_ value: Value, _ meter: inout Meter) throws(EvaluationError) -> Bool {
        switch value {
        case .string(let text): return contains(text)
        case .int(let integer): return contains(integer)
        case .uint(let unsigned): return Int64(exactly: unsigned).map(contains) ?? false
        case .double:
            for element in elements where try Equality.isEqual(element, value, &meter) { return true }
            return false
        default: return false
        }
    }

    private func contains(_ text: ByteString) -> Bool {
        var low = 0
        var high = strings.count
        while low < high {
            let middle = (low + high) / 2
            let order = Self.order(strings[middle], text)
            if order == 0 { return true }
            if order < 0 { low = middle + 1 } else { high = middle }
        }
        return false
    }

    private func contains(_ integer: Int64) -> Bool {
        var low = 0
        var high = integers.count
        while low < high {
            let middle = (low + high) / 2
            if integers[middle] == integer { return true }
            if integers[middle] < integer { low = middle + 1 } else { high = middle }
        }
        return false
    }
}
