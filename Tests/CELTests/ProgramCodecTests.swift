// Programs as bytes: what was written is read again, and nothing else is ever read as a program that could leave its
// bounds.

import Codec
import Testing

@testable import CEL

@Suite struct `An encoded program` {
    private static let environment = Environment(variables: [.init("x", .int), .init("s", .string)])

    private func encode(_ text: String) throws -> [UInt8] {
        try CompiledExpression(Array(text.utf8), in: Self.environment).program.encoded(for: Self.environment)
    }

    @Test func `has one encoding, which decodes to the same program`() throws {
        for row in Row.plain {
            guard let program = try? row.compile().program else { continue }
            let bytes = program.encoded(for: row.environment)
            let decoded = try Program.decode(bytes, for: row.environment)
            #expect(decoded.encoded(for: row.environment) == bytes, "\(row.id)")
            #expect(decoded.code == program.code && decoded.slotCount == program.slotCount, "\(row.id)")
        }
    }

    @Test func `is refused by another environment or version`() throws {
        var bytes = try encode("x > 1 && s == 'a'")
        let other = Environment(variables: [.init("x", .int), .init("s", .bytes)])
        #expect(throws: ProgramDecodeError.otherEnvironment) { try Program.decode(bytes, for: other) }
        bytes[0] = 2
        #expect(throws: ProgramDecodeError.unknownVersion(2)) { try Program.decode(bytes, for: Self.environment) }
    }

    @Test func `is refused when it is cut short or goes on`() throws {
        let bytes = try encode("x in [1, 2, 3] || s.matches('a+') || [x].map(i, i + 1).size() > 2")
        for count in bytes.indices {
            #expect(throws: ProgramDecodeError.self) {
                try Program.decode(Array(bytes[..<count]), for: Self.environment)
            }
        }
        #expect(throws: ProgramDecodeError.self) { try Program.decode(bytes + [0], for: Self.environment) }
    }

    private static func code(_ instructions: Instruction..., locals: Int = 8) -> ProgramParts {
        var parts = ProgramParts()
        parts.code = instructions
        parts.constants = [.int(1), .text("k")]
        parts.segments = [0]
        parts.localCount = locals
        return parts
    }

    private static let unsound: [(name: String, parts: ProgramParts, reason: VerifyError.Reason)] = [
        ("pops what is not there", code(.init(operation: .andEnd), .init(operation: .end)), .height),
        ("ends with nothing", code(.init(operation: .end)), .height),
        (
            "ends with two", code(.init(operation: .constant), .init(operation: .constant), .init(operation: .end)),
            .height
        ),
        ("runs off its end", code(.init(operation: .constant)), .jump),
        ("jumps out", code(.init(operation: .jump, b: 9), .init(operation: .end)), .jump),
        ("jumps back to where nothing is counted", code(.init(operation: .charge), .init(operation: .jump)), .jump),
        ("has code that nothing reaches", code(.init(operation: .jump, b: 1), .init(operation: .end)), .height),
        ("names a constant it lacks", code(.init(operation: .constant, b: 2), .init(operation: .end)), .operand),
        ("names a variable it lacks", code(.init(operation: .variable, b: 2), .init(operation: .end)), .operand),
        ("names a local it lacks", code(.init(operation: .local, a: 8), .init(operation: .end)), .operand),
        (
            "selects by no text", code(.init(operation: .constant), .init(operation: .select), .init(operation: .end)),
            .operand
        ),
        ("calls no function", code(.init(operation: .call, b: 999), .init(operation: .end)), .operand),
        ("is lazy about itself", code(.init(operation: .lazyLocal, b: 0), .init(operation: .end)), .laziness),
        (
            "absorbs from outside an operand",
            code(
                .init(operation: .constant),
                .init(operation: .constant),
                .init(operation: .andStep, b: 3, c: 0),
                .init(operation: .end)
            ), .region
        ),
    ]

    @Test(arguments: unsound.indices)
    func `is refused when it`(index: Int) throws {
        let (name, parts, reason) = Self.unsound[index]
        #expect {
            _ = try Verifier.verify(parts, variableCount: 2)
        } throws: { error in
            (error as? VerifyError)?.reason == reason
        }
        #expect(!name.isEmpty)
    }

    @Test func `is refused when too many lazy variables wait for one another`() throws {
        func chain(_ count: Int) -> ProgramParts {
            var parts = Self.code(.init(operation: .lazyLocal, b: UInt32(count)), .init(operation: .end))
            for segment in 1...count {
                parts.segments.append(parts.code.count)
                parts.code += [
                    segment == 1
                        ? .init(operation: .constant) : .init(operation: .lazyLocal, b: UInt32(segment - 1)),
                    .init(operation: .end),
                ]
            }
            return parts
        }
        #expect(throws: Never.self) { try Verifier.verify(chain(255), variableCount: 2) }
        #expect {
            _ = try Verifier.verify(chain(256), variableCount: 2)
        } throws: { error in
            (error as? VerifyError)?.reason == .sizes
        }
    }

    @Test func `may put anything into the locals of a loop`() throws {
        for position: Int64 in [-1, .min, 1, .max] {
            var parts = Self.code(
                .init(operation: .constant, b: 2),
                .init(operation: .loopStart, a: 0),
                .init(operation: .constant, b: 3),
                .init(operation: .setLocal, a: 1),
                .init(operation: .loopNext, a: 0, b: 6),
                .init(operation: .jump, b: 4),
                .init(operation: .chargeIfLeft, a: 0, b: 1),
                .init(operation: .constant),
                .init(operation: .end)
            )
            parts.constants += [.list([.int(7)]), .int(position)]
            var meter = Meter(limit: 1_000)
            let program = try Verifier.verify(parts, variableCount: 2)
            #expect((try? program.evaluate(Bindings([]), &meter)) != nil || position < 0)
        }
    }

    /// At least 100,000 mutants over all seeds: each is refused, or runs to a value or an error inside the meter's bounds.
    @Test(arguments: 0..<8 as Range<UInt64>)
    func `never leaves its bounds however its bytes are changed`(seed: UInt64) throws {
        var random = RandomBits(seed: seed)
        let environment = Environment(variables: [
            .init("x", .int), .init("s", .string), .init("l", .list(.int)), .init("m", .map(.string, .dyn)),
        ])
        let sources = [
            "x in [1, 2, 3] || s.matches('a+') && [x].map(i, i + 1).size() > 2",
            "l.exists(i, i == x || i / x > 2) && cel.bind(t, l.map(i, [i]), t == t && size(t) > 0)",
            "m.?a.b.orValue(1) == 1 ? {s: [?m.?b], 'k': x}.size() : l.filter(i, i > 1).sortBy(i, -i)[0]",
            "optional.of(x).optMap(v, v + 1).orValue(3) > 2 && has(m.a) && m[s] == 'x' && m['q'] != 2.5",
            "l.transformMap(i, v, v > 1, [i, v]).size() < 3 || timestamp('2020-01-01T00:00:00Z') < timestamp(s)",
            "'%s %d'.format([s, x]) == s + '%' || s.split(',').exists_one(p, p in ['a', 'b', 'cc'])",
        ]
        let programs = try sources.map {
            try CompiledExpression(Array($0.utf8), in: environment).program.encoded(for: environment)
        }
        let host = Bindings([
            .int(2), .text("a,b"), .list([.int(1), .int(2), .int(3)]),
            .map(try MapValue(keys: [.text("a"), .text("b")], values: [.text("x"), .list([.int(1)])])),
        ])
        var accepted = 0
        for _ in 0..<14_000 {
            var bytes = programs.randomElement(using: &random) ?? []
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let place = Int.random(in: 9..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes[place] &+= UInt8.random(in: 1...3, using: &random)
                case 2: bytes.remove(at: place)
                default: bytes.insert(bytes[Int.random(in: 9..<bytes.count, using: &random)], at: place)
                }
            }
            guard let program = try? Program.decode(bytes, for: environment) else { continue }
            accepted += 1
            var meter = Meter(limit: 1_000)
            _ = try? program.evaluate(host, &meter)
            #expect(try Program.decode(program.encoded(for: environment), for: environment).code == program.code)
        }
        #expect(accepted > 200, "mutants that nobody accepts prove nothing")
    }
}
