// The arithmetic operators. Integers never wrap or trap: what leaves 64 bits is an error, and so is what leaves the
// range of times.

/// The operators on values.
enum Arithmetic {
    /// `a + b`: numbers, strings, bytes, lists, times.
    @inline(__always)
    static func add(_ left: Value, _ right: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        if case .int(let left) = left, case .int(let right) = right {
            try meter.charge(1)
            return .int(try checked(left.addingReportingOverflow(right)))
        }
        return try addOthers(left, right, &meter)
    }

    /// `a - b`: numbers and times.
    @inline(__always)
    static func subtract(_ left: Value, _ right: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try meter.charge(1)
        if case .int(let left) = left, case .int(let right) = right {
            return .int(try checked(left.subtractingReportingOverflow(right)))
        }
        return try subtractOthers(left, right)
    }

    /// `a * b` of numbers.
    static func multiply(_ left: Value, _ right: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try meter.charge(1)
        switch (left, right) {
        case (.int(let left), .int(let right)): return .int(try checked(left.multipliedReportingOverflow(by: right)))
        case (.uint(let left), .uint(let right)): return .uint(try checked(left.multipliedReportingOverflow(by: right)))
        case (.double(let left), .double(let right)): return .double(left * right)
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    /// `a / b`, towards zero for integers.
    static func divide(_ left: Value, _ right: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try meter.charge(1)
        switch (left, right) {
        case (.int(let left), .int(let right)):
            guard right != 0 else { throw EvaluationError(.divisionByZero) }
            return .int(try checked(left.dividedReportingOverflow(by: right)))
        case (.uint(let left), .uint(let right)):
            guard right != 0 else { throw EvaluationError(.divisionByZero) }
            return .uint(left / right)
        case (.double(let left), .double(let right)): return .double(left / right)
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    /// `a % b`, with the sign of `a`.
    static func modulo(_ left: Value, _ right: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try meter.charge(1)
        switch (left, right) {
        case (.int(let left), .int(let right)):
            guard right != 0 else { throw EvaluationError(.divisionByZero) }
            return .int(try checked(left.remainderReportingOverflow(dividingBy: right)))
        case (.uint(let left), .uint(let right)):
            guard right != 0 else { throw EvaluationError(.divisionByZero) }
            return .uint(left % right)
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    /// `-a` of a signed number.
    static func negate(_ value: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try meter.charge(1)
        switch value {
        case .int(let int): return .int(try checked(Int64(0).subtractingReportingOverflow(int)))
        case .double(let double): return .double(-double)
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    /// `!a` of a boolean.
    @inline(__always)
    static func not(_ value: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try meter.charge(1)
        guard case .bool(let bool) = value else { throw EvaluationError(.noSuchOverload) }
        return .bool(!bool)
    }

    private static func addOthers(
        _ left: Value,
        _ right: Value,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        switch (left, right) {
        case (.string(let left), .string(let right)):
            try meter.charge(traversing: left.codePointCount + right.codePointCount)
            return .string(try concatenate(left, right))
        case (.bytes(let left), .bytes(let right)):
            try meter.charge(traversing: left.count + right.count)
            return .bytes(try concatenate(left, right))
        default: break
        }
        try meter.charge(1)
        switch (left, right) {
        case (.uint(let left), .uint(let right)): return .uint(try checked(left.addingReportingOverflow(right)))
        case (.double(let left), .double(let right)): return .double(left + right)
        case (.list(let left), .list(let right)):
            try meter.touch(left.count + right.count)
            if left.isEmpty { return .list(right) }
            return .list(right.isEmpty ? left : left + right)
        case (.timestamp(let time), .duration(let span)), (.duration(let span), .timestamp(let time)):
            return .timestamp(try Timestamps.moved(time, by: span))
        case (.duration(let left), .duration(let right)):
            return .duration(try checked(left.addingReportingOverflow(right)))
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    private static func subtractOthers(_ left: Value, _ right: Value) throws(EvaluationError) -> Value {
        switch (left, right) {
        case (.uint(let left), .uint(let right)): return .uint(try checked(left.subtractingReportingOverflow(right)))
        case (.double(let left), .double(let right)): return .double(left - right)
        case (.timestamp(let left), .timestamp(let right)): return .duration(try Timestamps.span(from: right, to: left))
        case (.timestamp(let time), .duration(let span)):
            return .timestamp(try Timestamps.moved(time, back: span))
        case (.duration(let left), .duration(let right)):
            return .duration(try checked(left.subtractingReportingOverflow(right)))
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    /// A result of the standard library's overflow-reporting forms, or the error.
    @inline(__always)
    static func checked<Number>(_ result: (partialValue: Number, overflow: Bool)) throws(EvaluationError) -> Number {
        guard !result.overflow else { throw EvaluationError(.overflow) }
        return result.partialValue
    }

    private static func concatenate(_ left: ByteString, _ right: ByteString) throws(EvaluationError) -> ByteString {
        if left.isEmpty { return right }
        if right.isEmpty { return left }
        let count = left.count + right.count
        guard count <= ByteString.maxCount else { throw EvaluationError(.workLimitExceeded) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        bytes += left.storage[left.range]
        bytes += right.storage[right.range]
        return ByteString(bytes)
    }
}
