// What an evaluation has cost, and where it ends. Costs are cel-go's published units; since these say nothing of some
// work (comparing nested lists, adding lists), octets and elements touched are bounded too.

/// Counts what an evaluation costs.
public struct Meter: Sendable {
    /// Units that an evaluation may cost.
    public let limit: UInt64
    /// Units that it has cost so far.
    public private(set) var cost: UInt64 = 0
    private var work: UInt64
    /// Containers that were put inside others, until they are looked at.
    private var nestings = 0

    /// Octets and elements that may be touched for each unit of the limit, beyond what units pay for.
    private static let workPerUnit: UInt64 = 32

    /// Starts at nothing.
    ///
    /// - Parameter limit: units; 10,000 by default for a rule.
    public init(limit: UInt64) {
        self.limit = limit
        work = Self.work(for: limit)
    }

    /// What the evaluation took of its limit: in units or in work, whichever is more.
    var spent: UInt64 {
        max(cost, (Self.work(for: limit) - work) / Self.workPerUnit)
    }

    private static func work(for limit: UInt64) -> UInt64 {
        let (work, overflows) = limit.multipliedReportingOverflow(by: workPerUnit)
        return overflows ? .max : work
    }

    /// Pays units, before what they are for is done.
    ///
    /// - Throws: `.costLimitExceeded`, which ends the evaluation.
    @inline(__always)
    mutating func charge(_ units: UInt64) throws(EvaluationError) {
        let (sum, overflows) = cost.addingReportingOverflow(units)
        cost = overflows ? .max : sum
        guard cost <= limit else { throw EvaluationError(.costLimitExceeded) }
    }

    /// Pays for a traversal of text: a tenth of a unit for each code point or octet, rounded up.
    @inline(__always)
    mutating func charge(traversing size: Int) throws(EvaluationError) {
        try charge((UInt64(size) + 9) / 10)
    }

    /// Pays for the comparison of two texts: by the code points of the shorter one.
    @inline(__always)
    mutating func charge(comparing one: ByteString, _ other: ByteString) throws(EvaluationError) {
        // Up to ten octets are up to ten code points, a unit; only longer texts need counting.
        let octets = min(one.count, other.count)
        if octets <= 10 { return try charge(octets == 0 ? 0 : 1) }
        try charge(traversing: min(one.codePointCount, other.codePointCount))
    }

    /// Pays for octets or elements that no unit is charged for, before they are touched or made.
    ///
    /// - Throws: `.workLimitExceeded`, which ends the evaluation.
    @inline(__always)
    mutating func touch(_ count: Int) throws(EvaluationError) {
        let count = UInt64(count)
        guard count <= work else { throw EvaluationError(.workLimitExceeded) }
        work -= count
    }
}

extension Meter {
    /// Containers that are put inside others before anybody looks how deep they are: no more levels than these come of it.
    private static let freeNestings = 256
    /// Levels that a value made after that may have.
    ///
    /// Dropping a value goes as deep on the thread's stack, some 300 bytes for a level of lists and twice that for maps.
    private static let maxDepth = 512

    /// Notes that a value becomes part of another, before it does.
    ///
    /// - Throws: `.workLimitExceeded` when the other would be nested too deep to be dropped.
    @inline(__always)
    mutating func nest(_ part: Value) throws(EvaluationError) {
        switch part {
        case .list, .map, .optional: try nestContainer(part)
        default: return
        }
    }

    @inline(never)
    private mutating func nestContainer(_ part: Value) throws(EvaluationError) {
        guard nestings >= Self.freeNestings else {
            nestings += 1
            return
        }
        try descend(part, depth: 1)
    }

    /// Looks at all levels of a value.
    private mutating func descend(_ value: Value, depth: Int) throws(EvaluationError) {
        switch value {
        case .list(let elements):
            try enter(depth, elements.count)
            for element in elements { try descend(element, depth: depth + 1) }
        case .map(let map):
            try enter(depth, map.count)
            for element in map.values { try descend(element, depth: depth + 1) }
        case .optional(let optional):
            try enter(depth, 1)
            if let wrapped = optional.wrapped { try descend(wrapped, depth: depth + 1) }
        default: return
        }
    }

    private mutating func enter(_ depth: Int, _ count: Int) throws(EvaluationError) {
        guard depth < Self.maxDepth else { throw EvaluationError(.workLimitExceeded) }
        try touch(count)
    }
}
