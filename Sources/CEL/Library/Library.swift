// Where calls of built-in functions arrive. Run-time types decide: what a function does not take is `noSuchOverload`,
// never a trap, since programs may run unchecked and values may come from anywhere.

/// The functions at run time.
///
/// Every function pays for itself: first the units that cel-go would charge, then octets and elements beyond them, both
/// before anything is made or traversed.
/// - Source: google/cel-go `interpreter/runtimecost.go` and `ext/`, as measured in `cel_go_cost.jsonl`.
enum Library {
    /// Calls a function; the receiver is the first argument, and none is `error` or `unset`.
    static func call(
        _ function: Function,
        _ arguments: Span<Value>,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        switch function {
        case .greatest: return try Math.extreme(arguments, .descending, &meter)
        case .least: return try Math.extreme(arguments, .ascending, &meter)
        case .message: return try Messages.make(arguments, &meter)
        default: break
        }
        switch arguments.count {
        case 1: return try unary(function, arguments[0], &meter)
        case 2: return try binary(function, arguments[0], arguments[1], &meter)
        case 3: return try ternary(function, arguments[0], arguments[1], arguments[2], &meter)
        case 4:
            guard function == .replace else { throw EvaluationError(.noSuchOverload) }
            return try Strings.replace(arguments[0], arguments[1], arguments[2], limit: arguments[3], &meter)
        case 0:
            guard function == .optionalNone else { throw EvaluationError(.noSuchOverload) }
            try meter.charge(1)
            return .optional(.none)
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    private static func unary(
        _ function: Function,
        _ value: Value,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        switch function {
        case .negate: try Arithmetic.negate(value, &meter)
        case .not: try Arithmetic.not(value, &meter)
        case .size: try Conversions.size(value, &meter)
        case .toInt: try Conversions.int(value, &meter)
        case .toUint: try Conversions.uint(value, &meter)
        case .toDouble: try Conversions.double(value, &meter)
        case .toString: try Conversions.string(value, &meter)
        case .toBytes: try Conversions.bytes(value, &meter)
        case .toBool: try Conversions.bool(value, &meter)
        case .toTimestamp: try Conversions.timestamp(value, &meter)
        case .toDuration: try Conversions.duration(value, &meter)
        case .typeOf: try Conversions.type(value, &meter)
        case .toDyn: try Conversions.dyn(value, &meter)
        case .getFullYear, .getMonth, .getDate, .getDayOfMonth, .getDayOfWeek, .getDayOfYear, .getHours, .getMinutes,
            .getSeconds, .getMilliseconds:
            try Timestamps.get(function, value, zone: nil, &meter)
        case .join: try Strings.join(value, separator: .string(ByteString([])), &meter)
        case .lowerAscii: try Strings.lowerAscii(value, &meter)
        case .upperAscii: try Strings.upperAscii(value, &meter)
        case .trim: try Strings.trim(value, &meter)
        case .reverse: try Lists.reverse(value, &meter)
        case .quote: try Strings.quote(value, &meter)
        case .ceil, .floor, .round, .truncate, .isInfinite, .isNaN, .isFinite:
            try Math.ofDouble(function, value, &meter)
        case .absolute: try Math.absolute(value, &meter)
        case .sign: try Math.sign(value, &meter)
        case .bitNot: try Math.bitNot(value, &meter)
        case .squareRoot: try Math.squareRoot(value, &meter)
        case .flatten: try Lists.flatten(value, depth: .int(1), &meter)
        case .distinct: try Lists.distinct(value, &meter)
        case .sort: try Lists.sort(value, &meter)
        case .range: try Lists.range(value, &meter)
        case .first: try Lists.end(value, last: false, &meter)
        case .last: try Lists.end(value, last: true, &meter)
        case .base64Encode: try Encoders.base64Encode(value, &meter)
        case .base64Decode: try Encoders.base64Decode(value, &meter)
        case .optionalOf, .optionalOfNonZero, .optionalHasValue, .optionalValue, .optionalUnwrap:
            try Optionals.call(function, value, &meter)
        case .toIP, .isIP, .isCanonicalIP, .family, .isUnspecified, .isLoopback, .isGlobalUnicast,
            .isLinkLocalMulticast, .isLinkLocalUnicast, .toCIDR, .isCIDR, .prefixLength, .masked:
            try Networks.call(function, value, &meter)
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    private static func binary(
        _ function: Function,
        _ left: Value,
        _ right: Value,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        switch function {
        case .add: try Arithmetic.add(left, right, &meter)
        case .subtract: try Arithmetic.subtract(left, right, &meter)
        case .multiply: try Arithmetic.multiply(left, right, &meter)
        case .divide: try Arithmetic.divide(left, right, &meter)
        case .modulo: try Arithmetic.modulo(left, right, &meter)
        case .equal: .bool(try Equality.equal(left, right, &meter))
        case .notEqual: .bool(try !Equality.equal(left, right, &meter))
        case .less, .lessOrEqual, .greater, .greaterOrEqual:
            .bool(try Ordering.test(function, left, right, &meter))
        case .isIn: .bool(try Equality.contains(right, left, &meter))
        case .contains: try Strings.contains(left, right, &meter)
        case .startsWith: try Strings.startsWith(left, right, &meter)
        case .endsWith: try Strings.endsWith(left, right, &meter)
        case .matches: try Regex.matches(left, right, &meter)
        case .getFullYear, .getMonth, .getDate, .getDayOfMonth, .getDayOfWeek, .getDayOfYear, .getHours, .getMinutes,
            .getSeconds, .getMilliseconds:
            try Timestamps.get(function, left, zone: right, &meter)
        case .charAt: try Strings.charAt(left, right, &meter)
        case .indexOf: try Strings.indexOf(left, right, from: nil, &meter)
        case .lastIndexOf: try Strings.lastIndexOf(left, right, upTo: nil, &meter)
        case .join: try Strings.join(left, separator: right, &meter)
        case .split: try Strings.split(left, right, limit: .int(-1), &meter)
        case .substring: try Strings.substring(left, from: right, to: nil, &meter)
        case .format: try Format.format(left, right, &meter)
        case .bitOr, .bitAnd, .bitXor: try Math.bitwise(function, left, right, &meter)
        case .bitShiftLeft, .bitShiftRight: try Math.shift(function, left, by: right, &meter)
        case .flatten: try Lists.flatten(left, depth: right, &meter)
        case .setContains: try Sets.contains(left, right, &meter)
        case .setEquivalent: try Sets.equivalent(left, right, &meter)
        case .setIntersects: try Sets.intersects(left, right, &meter)
        case .containsIP, .containsCIDR: try Networks.contains(function, left, right, &meter)
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    private static func ternary(
        _ function: Function,
        _ first: Value,
        _ second: Value,
        _ third: Value,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        switch function {
        case .indexOf: try Strings.indexOf(first, second, from: third, &meter)
        case .lastIndexOf: try Strings.lastIndexOf(first, second, upTo: third, &meter)
        case .replace: try Strings.replace(first, second, third, limit: .int(-1), &meter)
        case .split: try Strings.split(first, second, limit: third, &meter)
        case .substring: try Strings.substring(first, from: second, to: third, &meter)
        case .slice: try Lists.slice(first, from: second, to: third, &meter)
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    /// How deep values may be nested where functions follow them: deeper ones end the evaluation, since the stack would.
    static let maxDepth = 128
}
