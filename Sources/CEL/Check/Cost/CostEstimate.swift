// What a rule may cost at most, before it ever runs: a rule whose estimate is over the limit need not be accepted.

/// A range of costs, or of sizes; `UInt64.max` is "without a bound".
///
/// Sums and products saturate. Fractions are rounded up, in double precision as cel-go does it, so that figures can be
/// compared with its own.
public struct CostEstimate: Equatable, Sendable {
    /// The least; what the first operand of `&&` costs, say.
    public let min: UInt64
    /// The most.
    public let max: UInt64

    /// Makes a range.
    public init(_ min: UInt64, _ max: UInt64) {
        self.min = min
        self.max = max
    }

    init(_ exactly: UInt64) { self.init(exactly, exactly) }

    /// Nothing is known.
    static let unknown = CostEstimate(0, .max)
    static let zero = CostEstimate(0)
    static let one = CostEstimate(1)

    static func + (left: CostEstimate, right: CostEstimate) -> CostEstimate {
        CostEstimate(left.min.added(right.min), left.max.added(right.max))
    }

    static func * (left: CostEstimate, right: CostEstimate) -> CostEstimate {
        CostEstimate(left.min.multiplied(right.min), left.max.multiplied(right.max))
    }

    static func + (left: CostEstimate, right: UInt64) -> CostEstimate { left + CostEstimate(right) }

    /// Times a factor, rounded up.
    func scaled(_ factor: Double) -> CostEstimate { CostEstimate(min.scaled(factor), max.scaled(factor)) }

    /// What it costs to go through text of this size.
    var traversal: CostEstimate { scaled(0.1) }

    /// The range that holds both.
    func union(_ other: CostEstimate) -> CostEstimate {
        CostEstimate(Swift.min(min, other.min), Swift.max(max, other.max))
    }

    /// From nothing up to the most.
    var orLess: CostEstimate { CostEstimate(0, max) }

    /// From the least up to that much more than the most.
    func upTo(_ more: UInt64) -> CostEstimate { CostEstimate(min, max.added(more)) }
}

extension UInt64 {
    fileprivate func added(_ other: UInt64) -> UInt64 {
        let (sum, overflows) = addingReportingOverflow(other)
        return overflows ? .max : sum
    }

    fileprivate func multiplied(_ other: UInt64) -> UInt64 {
        let (product, overflows) = multipliedReportingOverflow(by: other)
        return overflows ? .max : product
    }

    fileprivate func scaled(_ factor: Double) -> UInt64 {
        let product = (Double(self) * factor).rounded(.up)
        return product >= 0x1p64 ? .max : UInt64(product)
    }
}

/// What is known of the size of a node's value; of what an optional holds, if it is one.
struct Shape {
    /// Code points, octets, elements or entries.
    var size: CostEstimate?
    /// The parts' sizes.
    var parts: Parts?

    struct Parts {
        /// Whether the parts are a list's; nil when not known.
        var isList: Bool?
        /// The size of a map's keys; 1 for a list.
        var key: CostEstimate
        var value: CostEstimate
    }

    static let unknown = Shape()
    /// Of `optional.none()`: nothing that could add to another's size.
    static let nothing = Shape(size: .zero, parts: Parts(isList: nil, key: .zero, value: .zero))

    static func list(_ size: CostEstimate?, of element: CostEstimate) -> Shape {
        Shape(size: size, parts: Parts(isList: true, key: .one, value: element))
    }

    /// What holds for both; nothing unless it is known of both.
    func union(_ other: Shape) -> Shape {
        var result = Shape()
        if let size, let otherSize = other.size { result.size = size.union(otherSize) }
        if let parts, let others = other.parts {
            result.parts = Parts(
                isList: parts.isList ?? others.isList,
                key: parts.key.union(others.key),
                value: parts.value.union(others.value)
            )
        }
        return result
    }
}
