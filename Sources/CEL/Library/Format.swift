// `format`: a small printf. There are neither widths nor flags, precision stands only before `f` and `e`, and the
// decimal sign is a point. What is written is paid for octet by octet, since arguments can be nested and shared.

/// The function `text.format(arguments)`.
enum Format {
    /// The most places that a precision can ask for.
    static let maxPrecision = 1_000

    /// - Throws: `.invalidArgument` for an unknown clause, or an argument that its clause does not take;
    ///   `.indexOutOfRange` when there are more clauses than arguments.
    static func format(_ text: Value, _ arguments: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        guard case .string(let text) = text, case .list(let arguments) = arguments else {
            throw EvaluationError(.noSuchOverload)
        }
        try meter.charge(traversing: text.codePointCount)
        var writer = Writer()
        var next = 0
        var offset = 0
        var literal = 0
        while offset < text.count {
            guard text[offset] == UInt8(ascii: "%") else {
                offset += 1
                continue
            }
            try writer.append(text.slice(literal..<offset), &meter)
            offset += 1
            guard offset < text.count else { throw EvaluationError(.invalidArgument) }
            if text[offset] == UInt8(ascii: "%") {
                literal = offset
                offset += 1
                continue
            }
            let precision = try precision(text, at: &offset)
            let clause = text[offset]
            offset += 1
            literal = offset
            guard isClause(clause, precision) else { throw EvaluationError(.invalidArgument) }
            guard next < arguments.count else { throw EvaluationError(.indexOutOfRange) }
            try write(clause, precision ?? 6, arguments[next], to: &writer, &meter)
            next += 1
        }
        try writer.append(text.slice(literal..<offset), &meter)
        return .string(ByteString(writer.octets))
    }

    /// What is written so far.
    struct Writer {
        fileprivate(set) var octets: [UInt8] = []

        /// Pays for octets before they are made.
        mutating func pay(_ count: Int, _ meter: inout Meter) throws(EvaluationError) {
            try meter.touch(count)
            guard count <= ByteString.maxCount - octets.count else { throw EvaluationError(.workLimitExceeded) }
        }

        mutating func append(_ text: ByteString, _ meter: inout Meter) throws(EvaluationError) {
            try pay(text.count, &meter)
            octets.append(text)
        }

        mutating func append(_ text: [UInt8], _ meter: inout Meter) throws(EvaluationError) {
            try pay(text.count, &meter)
            octets += text
        }

        mutating func append(_ text: StaticString, _ meter: inout Meter) throws(EvaluationError) {
            try pay(text.utf8CodeUnitCount, &meter)
            octets.append(text)
        }
    }

    /// `.` and digits, if they are there; leaves the offset at the clause.
    private static func precision(_ text: ByteString, at offset: inout Int) throws(EvaluationError) -> Int? {
        guard text[offset] == UInt8(ascii: ".") else { return nil }
        offset += 1
        let start = offset
        var value = 0
        while offset < text.count, let digit = NumberText.digit(text[offset]) {
            value = value * 10 + Int(digit)
            guard value <= maxPrecision else { throw EvaluationError(.invalidArgument) }
            offset += 1
        }
        guard offset > start, offset < text.count else { throw EvaluationError(.invalidArgument) }
        return value
    }

    private static func isClause(_ clause: UInt8, _ precision: Int?) -> Bool {
        switch clause {
        case UInt8(ascii: "f"), UInt8(ascii: "e"): true
        case UInt8(ascii: "s"), UInt8(ascii: "d"), UInt8(ascii: "x"), UInt8(ascii: "X"), UInt8(ascii: "o"),
            UInt8(ascii: "b"):
            precision == nil
        default: false
        }
    }

    private static func write(
        _ clause: UInt8,
        _ precision: Int,
        _ value: Value,
        to writer: inout Writer,
        _ meter: inout Meter
    ) throws(EvaluationError) {
        switch (clause, value) {
        case (UInt8(ascii: "s"), _): try FormatText.write(value, depth: 0, to: &writer, &meter)
        case (UInt8(ascii: "d"), .double(let double)):
            try meter.touch(32)
            try writer.append(NumberText.fixedText(double), &meter)
        case (UInt8(ascii: "d"), _): try write(value, radix: 10, to: &writer, &meter)
        case (UInt8(ascii: "o"), _): try write(value, radix: 8, to: &writer, &meter)
        case (UInt8(ascii: "b"), .bool(let bool)): try writer.append(bool ? "1" : "0", &meter)
        case (UInt8(ascii: "b"), _): try write(value, radix: 2, to: &writer, &meter)
        case (UInt8(ascii: "x"), .string(let text)), (UInt8(ascii: "x"), .bytes(let text)):
            try writeHex(text, "0123456789abcdef", to: &writer, &meter)
        case (UInt8(ascii: "X"), .string(let text)), (UInt8(ascii: "X"), .bytes(let text)):
            try writeHex(text, "0123456789ABCDEF", to: &writer, &meter)
        case (UInt8(ascii: "x"), _): try write(value, radix: 16, to: &writer, &meter)
        case (UInt8(ascii: "X"), _): try write(value, radix: 16, isUpper: true, to: &writer, &meter)
        case (_, .int(let int)): try write(Double(int), clause, precision, to: &writer, &meter)
        case (_, .uint(let uint)): try write(Double(uint), clause, precision, to: &writer, &meter)
        case (_, .double(let double)): try write(double, clause, precision, to: &writer, &meter)
        default: throw EvaluationError(.invalidArgument)
        }
    }

    private static func write(
        _ value: Value,
        radix: Int,
        isUpper: Bool = false,
        to writer: inout Writer,
        _ meter: inout Meter
    ) throws(EvaluationError) {
        switch value {
        case .int(let int):
            try writer.append(Array(String(int, radix: radix, uppercase: isUpper).utf8), &meter)
        case .uint(let uint):
            try writer.append(Array(String(uint, radix: radix, uppercase: isUpper).utf8), &meter)
        default: throw EvaluationError(.invalidArgument)
        }
    }

    private static func writeHex(
        _ text: ByteString,
        _ digits: StaticString,
        to writer: inout Writer,
        _ meter: inout Meter
    ) throws(EvaluationError) {
        try writer.pay(text.count * 2, &meter)
        let digits = Array(digits.description.utf8)
        for offset in 0..<text.count {
            writer.octets.append(digits[Int(text[offset] >> 4)])
            writer.octets.append(digits[Int(text[offset] & 15)])
        }
    }

    /// `%.Nf` and `%.Ne`: the exact value, rounded once, a half to even.
    private static func write(
        _ double: Double,
        _ clause: UInt8,
        _ precision: Int,
        to writer: inout Writer,
        _ meter: inout Meter
    ) throws(EvaluationError) {
        guard double.isFinite else { return try writer.append(NumberText.fixedText(double), &meter) }
        try meter.touch(ExactDecimal.work(for: double) + precision)
        var text: [UInt8] = double.sign == .minus ? [UInt8(ascii: "-")] : []
        var decimal = ExactDecimal(double.magnitude)
        if clause == UInt8(ascii: "e") {
            decimal.round(to: precision + 1)
            text.append(UInt8(ascii: "0") + decimal.digit(0))
            appendPlaces(decimal, from: 1, precision, to: &text)
            NumberText.appendExponent(decimal.digits.isEmpty ? 0 : decimal.point - 1, to: &text)
        } else {
            decimal.round(to: decimal.point + precision)
            if decimal.point <= 0 || decimal.digits.isEmpty { text.append(UInt8(ascii: "0")) }
            if !decimal.digits.isEmpty {
                for place in 0..<max(0, decimal.point) { text.append(UInt8(ascii: "0") + decimal.digit(place)) }
            }
            appendPlaces(decimal, from: decimal.digits.isEmpty ? 0 : decimal.point, precision, to: &text)
        }
        try writer.append(text, &meter)
    }

    private static func appendPlaces(_ decimal: ExactDecimal, from first: Int, _ count: Int, to text: inout [UInt8]) {
        guard count > 0 else { return }
        text.append(UInt8(ascii: "."))
        for place in first..<first + count { text.append(UInt8(ascii: "0") + decimal.digit(place)) }
    }
}
