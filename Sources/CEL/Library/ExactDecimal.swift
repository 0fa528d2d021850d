// All the decimal digits of a double, for `%.Nf` and `%.Ne`: these round the value as it is, not its shortest digits,
// so that 1.2345 with three places is 1.234. C's printf would do it, but is variadic and follows a locale.

/// A finite magnitude in decimal, exactly.
struct ExactDecimal {
    /// The digits, most significant first, without zeros around them; empty for zero.
    private(set) var digits: [UInt8]
    /// How many digits stand before the point; 0 or less when the first digit is behind it.
    private(set) var point: Int

    /// What making one costs, in touches: the product of two numbers' lengths in words.
    static func work(for value: Double) -> Int {
        let exponent = Int(value.exponentBitPattern) - 1075
        let words = exponent.magnitude / 13 + 2
        return 16 + Int(words * words) / 8
    }

    /// - Parameter magnitude: finite and not negative.
    init(_ magnitude: Double) {
        let isSubnormal = magnitude.exponentBitPattern == 0
        let significand = magnitude.significandBitPattern | (isSubnormal ? 0 : 1 << 52)
        let exponent = (isSubnormal ? 1 : Int(magnitude.exponentBitPattern)) - 1075
        // m·2^e is an integer for e ≥ 0; otherwise it is m·5^-e over 10^-e.
        var number = BigNumber(significand)
        if exponent >= 0 {
            number.multiply(by: 2, times: exponent)
        } else {
            number.multiply(by: 5, times: -exponent)
        }
        digits = number.decimalDigits()
        point = digits.count - max(0, -exponent)
        while digits.last == 0 { digits.removeLast() }
    }

    /// Rounds to so many digits; a half goes to the even digit.
    mutating func round(to count: Int) {
        guard count < digits.count else { return }
        guard count >= 0 else {
            digits = []
            return
        }
        let next = digits[count]
        let isHalf = next == 5 && count + 1 == digits.count
        let isOdd = count > 0 && digits[count - 1] % 2 == 1
        let goesUp = next > 5 || next == 5 && !isHalf || isHalf && isOdd
        digits.removeLast(digits.count - count)
        if goesUp {
            while digits.last == 9 { digits.removeLast() }
            if digits.isEmpty {
                digits = [1]
                point += 1
            } else {
                digits[digits.count - 1] += 1
            }
        }
        while digits.last == 0 { digits.removeLast() }
    }

    /// The digit that stands so many places after the first, 0 where there is none.
    func digit(_ place: Int) -> UInt8 { digits.indices.contains(place) ? digits[place] : 0 }
}

/// A natural number of any size, in words of nine decimal digits, least significant first.
private struct BigNumber {
    private static let base: UInt64 = 1_000_000_000
    private var words: [UInt32] = []

    init(_ value: UInt64) {
        var value = value
        while value > 0 {
            words.append(UInt32(value % Self.base))
            value /= Self.base
        }
    }

    /// Multiplies by a power; several factors at once, as far as a word goes.
    mutating func multiply(by factor: UInt64, times: Int) {
        let (together, product): (Int, UInt64) = factor == 2 ? (29, 1 << 29) : (12, 244_140_625)
        var left = times
        while left >= together {
            multiply(by: product)
            left -= together
        }
        for _ in 0..<left { multiply(by: factor) }
    }

    private mutating func multiply(by factor: UInt64) {
        var carry: UInt64 = 0
        for index in words.indices {
            let product = UInt64(words[index]) * factor + carry
            words[index] = UInt32(product % Self.base)
            carry = product / Self.base
        }
        if carry > 0 { words.append(UInt32(carry)) }
    }

    func decimalDigits() -> [UInt8] {
        var digits: [UInt8] = []
        for word in words {
            var word = word
            for _ in 0..<9 {
                digits.append(UInt8(word % 10))
                word /= 10
            }
        }
        while digits.last == 0 { digits.removeLast() }
        return digits.reversed()
    }
}
