// `x in ["a", "b", …]` with a literal list, which is what allowlists in rules are: sorted once, by the compiler, then a
// few comparisons instead of one for each element.

/// The elements of a literal list of strings or of integers.
struct LookupSet: Equatable, Sendable {
    enum Elements: Equatable, Sendable {
        /// By length, then octets: most comparisons end at the length.
        case strings([ByteString])
        case integers([Int64])
    }

    /// In ascending order, none twice.
    let elements: Elements
    /// Elements of the list as it was written: what a look-up costs.
    let listCount: Int

    /// Makes a set of a list's elements.
    ///
    /// - Returns: nil unless they are all strings or all `int`, and not none.
    init?(_ list: [Value]) {
        var strings: [ByteString] = []
        var integers: [Int64] = []
        for element in list {
            switch element {
            case .string(let text): strings.append(text)
            case .int(let integer): integers.append(integer)
            default: return nil
            }
        }
        guard !list.isEmpty, strings.isEmpty || integers.isEmpty else { return nil }
        strings.sort { Self.order($0, $1) < 0 }
        integers.sort()
        elements = integers.isEmpty ? .strings(Self.unique(strings)) : .integers(Self.unique(integers))
        listCount = list.count
    }

    private static func unique<Element: Equatable>(_ sorted: [Element]) -> [Element] {
        sorted.indices.filter { $0 == 0 || sorted[$0] != sorted[$0 - 1] }.map { sorted[$0] }
    }

    /// Takes elements from anybody.
    ///
    /// - Returns: nil unless they are in order and no more than the list had.
    init?(_ elements: Elements, listCount: Int) {
        let count: Int
        switch elements {
        case .strings(let strings):
            count = strings.count
            for index in strings.indices.dropFirst() {
                guard Self.order(strings[index - 1], strings[index]) < 0 else { return nil }
            }
        case .integers(let integers):
            count = integers.count
            for index in integers.indices.dropFirst() {
                guard integers[index - 1] < integers[index] else { return nil }
            }
        }
        guard count > 0, count <= listCount else { return nil }
        self.elements = elements
        self.listCount = listCount
    }

    @inline(__always)
    private static func order(_ one: ByteString, _ other: ByteString) -> Int {
        one.count == other.count ? one.compare(other) : one.count - other.count
    }

    /// Whether an element equals the value, as `==` does.
    func contains(_ value: Value, _ meter: inout Meter) throws(EvaluationError) -> Bool {
        switch (elements, value) {
        case (.strings(let strings), .string(let text)):
            var low = 0
            var high = strings.count
            while low < high {
                let middle = (low + high) / 2
                let order = Self.order(strings[middle], text)
                if order == 0 { return true }
                if order < 0 { low = middle + 1 } else { high = middle }
            }
            return false
        case (.integers(let integers), .int(let integer)):
            return Self.find(integer, in: integers)
        case (.integers(let integers), .uint(let unsigned)):
            return Int64(exactly: unsigned).map { Self.find($0, in: integers) } ?? false
        case (.integers(let integers), .double):
            // Equality rounds the integer, so that several can equal one double.
            for integer in integers where try Equality.isEqual(.int(integer), value, &meter) { return true }
            return false
        default:
            return false
        }
    }

    private static func find(_ wanted: Int64, in integers: [Int64]) -> Bool {
        var low = 0
        var high = integers.count
        while low < high {
            let middle = (low + high) / 2
            if integers[middle] == wanted { return true }
            if integers[middle] < wanted { low = middle + 1 } else { high = middle }
        }
        return false
    }
}
