// No source may trap the parser, and whatever it makes must be a tree: random and mutated sources, the same every time.

import Testing

@testable import CEL

/// Makes sources that are nearly right.
private struct SourceMaker {
    var random: RandomBits

    /// What sources are made of, apart from the conformance suite.
    private static let pieces: [String] = [
        "(", ")", "[", "]", "{", "}", ",", ":", "?", ".", "..", "+", "-", "*", "/", "%", "!", "==", "!=", "<", "<=",
        ">",
        ">=", "&&", "||", "in", " ", "\n", "// c\n", "a", "b.c", "has(", "has(a.b)", ".all(x,", ".map(x,", ".map(",
        "cel.",
        "cel.bind(x,", "cel.block([", "cel.index(0)", "cel.iterVar(0,1)", ".existsOne(i,v,", ".transformMap(k,v,", "f(",
        "1", "1u", "1.5", ".5", "0x", "1e", "9223372036854775808", "'a'", "\"", "'''", "r'", "b\"\\xff\"", "'\\u00e9'",
        "\\",
        "`a-b`", "`", "true", "null", "for", "A{", "a.B{f:", ".?", "[?", "{?", "é", "\u{1F600}", "#", "\0", "=", "&",
        "|",
    ]

    mutating func pick<T>(_ choices: [T]) -> T { choices[Int.random(in: choices.indices, using: &random)] }

    /// Pieces in any order.
    mutating func soup() -> [UInt8] {
        (0..<Int.random(in: 0...24, using: &random)).flatMap { _ in Array(pick(Self.pieces).utf8) }
    }

    /// A row of the suite with a few changes, possibly glued to another one.
    mutating func mutant() -> [UInt8] {
        var source = Array(pick(SyntaxRow.all).expression.utf8)
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let place = Int.random(in: 0...source.count, using: &random)
            let end = min(source.count, place + Int.random(in: 0...6, using: &random))
            switch Int.random(in: 0..<7, using: &random) {
            case 0: source.removeSubrange(place..<end)
            case 1: source.insert(contentsOf: pick(Self.pieces).utf8, at: place)
            case 2: source.replaceSubrange(place..<end, with: pick(Self.pieces).utf8)
            case 3: source.insert(contentsOf: source[place..<end], at: place)
            case 4 where place < source.count: source[place] = UInt8.random(in: 0...255, using: &random)
            case 5: source.insert(contentsOf: pick(SyntaxRow.all).expression.utf8, at: place)
            default: source = Array(source[..<place])
            }
        }
        return source
    }

    /// An expression that is right, made of others.
    mutating func nested(_ depth: Int) -> String {
        guard depth > 0 else {
            return pick(["a", "1", "-2.5", "'s'", "b'\\x00'", "true", "null", ".r", "3u", "[]", "{}"])
        }
        let one = nested(depth - 1)
        let other = nested(Int.random(in: 0..<depth, using: &random))
        switch Int.random(in: 0..<16, using: &random) {
        case 0: return "(\(one)) \(pick(["+", "-", "*", "/", "%", "<", "==", "in", "&&", "||"])) (\(other))"
        case 1: return "\(one) \(pick(["&&", "||"])) \(other)"
        case 2: return "!(\(one))"
        case 3: return "--(\(one))"
        case 4: return "(\(one)) ? (\(other)) : \(one)"
        case 5: return "[\(one), ?(\(other)),]"
        case 6: return "{\(one): \(other)}"
        case 7: return "(\(one)).f(\(other))"
        case 8: return "f(\(one), \(other))"
        case 9: return "(\(one))[\(other)]"
        case 10: return "(\(one)).?g.`h-i`"
        case 11: return "has((\(one)).h)"
        case 12: return "(\(one)).\(pick(["all", "exists", "map", "filter", "sortBy", "optMap"]))(x, \(other))"
        case 13: return "(\(one)).\(pick(["all", "existsOne", "transformList", "transformMap"]))(k, v, \(other))"
        case 14: return "cel.bind(y, \(one), \(other))"
        default: return "a.B{f: \(one), ?g: \(other)}"
        }
    }
}

@Suite struct `No source` {
    /// Parses a source twice and looks at what comes of it.
    ///
    /// - Returns: whether it is an expression.
    private func check(_ source: [UInt8]) -> Bool {
        do throws(Problems) {
            let tree = try Parser.parse(source, options: ParserOptions(allowsBlocks: true))
            #expect(tree.flaw == nil, "\(String(decoding: source, as: UTF8.self))")
            for node in tree.nodes where !(0..<source.count).contains(node.offset) {
                Issue.record("a node at \(node.offset) of \(String(decoding: source, as: UTF8.self))")
            }
            return true
        } catch {
            let text = SourceText(source)
            #expect(error.problems.count <= Parser.maxProblems)
            for problem in error.problems {
                #expect((0...source.count).contains(problem.offset), "\(String(decoding: source, as: UTF8.self))")
                #expect(!problem.message.contains("\n"), "\(String(decoding: source, as: UTF8.self))")
                #expect(text.render(problem).split(separator: "\n", omittingEmptySubsequences: false).count == 3)
            }
            return false
        }
    }

    @Test(arguments: 0..<30 as Range<UInt64>)
    func `traps the parser or makes it build what is no tree`(seed: UInt64) {
        var maker = SourceMaker(random: RandomBits(seed: seed))
        var good = 0
        for _ in 0..<1_000 {
            if check(maker.mutant()) { good += 1 }
            if check(maker.soup()) { good += 1 }
        }
        #expect((50..<1_500).contains(good), "the sources should be nearly right, not all right or wrong")
    }

    @Test(arguments: 0..<10 as Range<UInt64>)
    func `that is right by its making is refused`(seed: UInt64) {
        var maker = SourceMaker(random: RandomBits(seed: seed &+ 1 << 32))
        for round in 0..<300 {
            let source = "(" + maker.nested(round % 6) + ")"
            #expect(check(Array(source.utf8)), "\(source)")
        }
    }
}
