// All functions on values of all kinds: nothing traps, nothing costs more than the meter has.

import Testing

@testable import CEL

@Suite struct `Any function` {
    @Test(arguments: 0..<20 as Range<UInt64>)
    func `takes any values, within its meter`(seed: UInt64) throws {
        var source = Source(seed: seed)
        for _ in 0..<10_000 {
            let function = source.pick(Function.allCases)
            let arguments = (0..<source.count(function)).map { _ in source.value(depth: 3) }
            let limit = source.pick([0, 1, 20, 1_000, 10_000] as [UInt64])
            var meter = Meter(limit: limit)
            do throws(EvaluationError) {
                let result = try Library.call(function, arguments.span, &meter)
                #expect(meter.cost <= limit)
                switch result {
                case .error, .unset: Issue.record("\(function) gives no value")
                case .string(let text): #expect(text.isValidUTF8, "\(function)")
                default: break
                }
            } catch {
                #expect(error.reason != .unavailable)
            }
        }
    }

    /// Where random calls come from.
    private struct Source {
        private var generator: RandomBits
        private var made: [Value] = [.null]

        private static let texts = [
            "", "a", "ab", "é", "e\u{301}", "\u{10FFFF}", "aaaaaaaaaaaaaaaaaaab", "UTC", "Europe/Berlin", "+01:00",
            "%s %d %.3f", "%e%x%X%o%b%%", "%.100f", "10.0.0.1", "10.0.0.0/8", "::1", "::ffff:1.2.3.4", "fe80::/10",
            "2024-02-29T12:00:00.123456789+01:00", "1h2m3.5s", "-0.5s", "1e308", "0x1p4", "nan", "-9223372036854775808",
            "(a|b)*c", "[", "aGVsbG8=", " trim\u{85}", "true", "\u{0}", "🐱😀😛",
        ]
        private static let doubles: [Double] = [
            0, -0.0, 1, -1, 0.5, 1.5, 2.5, 1e6, 1e-5, .nan, .infinity, -.infinity, 0x1p63, -0x1p63, 0x1p64,
            .leastNonzeroMagnitude,
            .greatestFiniteMagnitude,
        ]
        private static let integers: [Int64] = [0, 1, -1, 2, 3, 7, 63, 64, 100, 10_000_000, .max, .min, .min + 1]

        init(seed: UInt64) { generator = RandomBits(seed: seed) }

        mutating func pick<Element>(_ elements: [Element]) -> Element {
            elements[Int.random(in: 0..<elements.count, using: &generator)]
        }

        /// Usually as many arguments as the function has.
        mutating func count(_ function: Function) -> Int {
            let arities = Function.all.filter { $0.function == function }.map { min($0.arity.upperBound, 4) }
            return Int.random(in: 0..<10, using: &generator) == 0 || arities.isEmpty
                ? pick([0, 1, 2, 3, 4, 5]) : pick(arities)
        }

        /// A value; now and then one that was made before, so that parts are shared.
        mutating func value(depth: Int) -> Value {
            if Int.random(in: 0..<6, using: &generator) == 0 { return pick(made) }
            let value = fresh(depth: depth)
            made.append(value)
            if made.count > 64 { made.removeFirst(32) }
            return value
        }

        private mutating func fresh(depth: Int) -> Value {
            switch Int.random(in: 0..<(depth > 0 ? 16 : 12), using: &generator) {
            case 0: return pick([.null, .bool(true), .bool(false), .type(ByteString("int"))])
            case 1, 2: return .int(pick(Self.integers))
            case 3: return .uint(pick([0, 1, 64, .max]))
            case 4: return .double(pick(Self.doubles))
            case 5: return .double(Double(bitPattern: generator.next()))
            case 6, 7: return .text(pick(Self.texts))
            case 8: return .text((0..<Int.random(in: 0...40, using: &generator)).map { _ in pick(Self.texts) }.joined())
            case 9: return .bytes(ByteString((0..<8).map { _ in UInt8.random(in: 0...255, using: &generator) }))
            case 10:
                let seconds = Int64.random(in: Timestamp.range, using: &generator)
                return (try? Timestamp(seconds: seconds, nanoseconds: 999_999_999)).map(Value.timestamp) ?? .null
            case 11: return .duration(pick(Self.integers))
            case 12: return .optional(pick([true, false]) ? .none : OptionalValue(value(depth: depth - 1)))
            case 13:
                let high = generator.next()
                let isIPv6 = pick([true, false])
                return .network(
                    NetworkValue(
                        high: isIPv6 ? high : 0,
                        low: isIPv6 ? high : high & 0xFFFF_FFFF,
                        isIPv6: isIPv6,
                        prefixLength: pick([nil, 0, 8, 32])
                    )
                )
            case 14:
                let keys = (0..<Int.random(in: 0...12, using: &generator)).map { _ in value(depth: 0) }
                let values = keys.map { _ in value(depth: depth - 1) }
                return (try? MapValue(keys: keys, values: values)).map(Value.map) ?? .map(.empty)
            default:
                let one = value(depth: depth - 1)
                let size = Int.random(in: 0...12, using: &generator)
                return .list((0..<size).map { _ in pick([true, false]) ? one : value(depth: depth - 1) })
            }
        }
    }
}
