// The math extension. Rounding and classification take doubles only, bits integers only; `greatest` and `least` take
// numbers of all types and answer with the winner as it was written.

/// Functions on numbers.
enum Math {
    /// `math.greatest` and `math.least`: of the arguments, or of the one argument's elements.
    ///
    /// The first of equals wins. Three and more arguments cost a list, since cel-go makes them one.
    static func extreme(
        _ arguments: Span<Value>,
        _ wanted: Order,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        try meter.charge(arguments.count > 2 ? 11 : 1)
        guard arguments.count > 0 else { throw EvaluationError(.noSuchOverload) }
        if arguments.count == 1, case .list(let elements) = arguments[0] {
            guard !elements.isEmpty else { throw EvaluationError(.invalidArgument) }
            try meter.touch(elements.count)
            return try extreme(elements.span, wanted)
        }
        return try extreme(arguments, wanted)
    }

    private static func extreme(_ values: Span<Value>, _ wanted: Order) throws(EvaluationError) -> Value {
        var best = values[0]
        for index in values.indices {
            switch values[index] {
            case .int, .uint, .double: break
            default: throw EvaluationError(.noSuchOverload)
            }
            if Ordering.number(best, values[index]) == wanted.opposite { best = values[index] }
        }
        return best
    }

    /// The functions of one double.
    static func ofDouble(
        _ function: Function,
        _ value: Value,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        try meter.charge(1)
        guard case .double(let double) = value else { throw EvaluationError(.noSuchOverload) }
        return switch function {
        case .ceil: .double(double.rounded(.up))
        case .floor: .double(double.rounded(.down))
        case .round: .double(double.rounded(.toNearestOrAwayFromZero))
        case .truncate: .double(double.rounded(.towardZero))
        case .isInfinite: .bool(double.isInfinite)
        case .isNaN: .bool(double.isNaN)
        default: .bool(double.isFinite)
        }
    }

    static func absolute(_ value: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try meter.charge(1)
        switch value {
        case .uint: return value
        case .double(let double): return .double(double.magnitude)
        case .int(let int):
            guard int < 0 else { return value }
            return .int(try Arithmetic.checked(Int64(0).subtractingReportingOverflow(int)))
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    static func sign(_ value: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try meter.charge(1)
        return switch value {
        case .int(let int): .int(int.signum())
        case .uint(let uint): .uint(uint == 0 ? 0 : 1)
        case .double(let double): .double(double > 0 ? 1 : double < 0 ? -1 : double.isNaN ? double : 0)
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    static func squareRoot(_ value: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try meter.charge(1)
        return switch value {
        case .int(let int): .double(Double(int).squareRoot())
        case .uint(let uint): .double(Double(uint).squareRoot())
        case .double(let double): .double(double.squareRoot())
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    static func bitNot(_ value: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try meter.charge(1)
        return switch value {
        case .int(let int): .int(~int)
        case .uint(let uint): .uint(~uint)
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    static func bitwise(
        _ function: Function,
        _ left: Value,
        _ right: Value,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        try meter.charge(1)
        return switch (left, right) {
        case (.int(let left), .int(let right)): .int(bits(function, left, right))
        case (.uint(let left), .uint(let right)): .uint(bits(function, left, right))
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    private static func bits<Bits: FixedWidthInteger>(_ function: Function, _ left: Bits, _ right: Bits) -> Bits {
        switch function {
        case .bitOr: left | right
        case .bitAnd: left & right
        default: left ^ right
        }
    }

    /// Shifts bits, also those of a negative integer: what comes in is zeros.
    static func shift(
        _ function: Function,
        _ value: Value,
        by offset: Value,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        try meter.charge(1)
        guard case .int(let offset) = offset else { throw EvaluationError(.noSuchOverload) }
        let pattern: UInt64
        switch value {
        case .int(let int): pattern = UInt64(bitPattern: int)
        case .uint(let uint): pattern = uint
        default: throw EvaluationError(.noSuchOverload)
        }
        guard offset >= 0 else { throw EvaluationError(.invalidArgument) }
        let shifted = function == .bitShiftLeft ? pattern << offset : pattern >> offset
        if case .int = value { return .int(Int64(bitPattern: shifted)) }
        return .uint(shifted)
    }
}

extension Order {
    /// The order of the two things the other way round.
    var opposite: Order {
        switch self {
        case .ascending: .descending
        case .equal: .equal
        case .descending: .ascending
        }
    }
}
