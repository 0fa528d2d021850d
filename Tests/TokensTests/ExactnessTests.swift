// The tokens are tiktoken's: on the reference rows, and on random texts against an implementation that is obviously
// right. A difference here is money counted wrongly.

import Testing

@testable import Tokens

@Suite struct `A tokenizer` {
    @Test func `gives the tokens of every reference row`() throws {
        var agreed: [String: Int] = [:]
        let rows = try TokenFixtures.rows("exactness.jsonl")
        for row in rows {
            let id = row["id"] as? String ?? "?"
            let name = try #require(row["encoding"] as? String)
            let tokenizer = try TokenFixtures.tokenizer(try TokenFixtures.encoding(name))
            let text = try TokenFixtures.text(row)
            let ids = tokenizer.encode(of: text)
            let tokens = try #require(row["tokens"] as? Int)
            #expect(ids.count == tokens && TokenDigest.hex(ids) == row["ids_sha"] as? String, "\(id) \(name)")
            #expect(tokenizer.count(of: text) == tokens, "\(id) counted")
            agreed[name, default: 0] += 1
        }
        #expect(rows.count == agreed.values.reduce(0, +))
        #expect(rows.count > 3_300)
    }

    /// 130 seeds of 400 texts: 52,000.
    @Test(arguments: 0..<130 as Range<UInt64>)
    func `agrees with the slow reference on random and mutated texts`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let encoding = EncodingName.allCases[Int(seed % 4)]
        let tokenizer = try TokenFixtures.tokenizer(encoding)
        let reference = try #require(SlowReference.all[encoding])
        for _ in 0..<400 {
            let text = RandomText.make(&generator)
            let expected = reference.encode(text)
            let ids = tokenizer.encode(of: text)
            guard ids == expected, tokenizer.count(of: text) == expected.count else {
                Issue.record("\(encoding.name) \(text): \(ids), expected \(expected)")
                return
            }
        }
    }

    /// Pieces of all lengths around the borders between the ways to merge, of alphabets that make merges overlap.
    @Test(arguments: 0..<24 as Range<UInt64>)
    func `merges long pieces as it merges short ones`(seed: UInt64) throws {
        var generator = SeededGenerator(seed: 1_000 + seed)
        let encoding = EncodingName.allCases[Int(seed % 4)]
        let tokenizer = try TokenFixtures.tokenizer(encoding)
        let alphabets: [[UInt8]] = [
            Array("a".utf8), Array("ab".utf8), Array("=".utf8), Array("=-".utf8), Array("abcdefgh".utf8),
            Array("etaoin shr".utf8), Array(0...255), Array(" ".utf8), Array("AaBb".utf8), [0xef, 0xbf, 0xbd],
        ]
        for alphabet in alphabets {
            let length = [30, 33, 129, 511, 513, 700, 1_500, 3_000].randomElement(using: &generator) ?? 40
            let count = length + Int.random(in: 0..<40, using: &generator)
            let piece = (0..<count).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] }
            var whole = CollectingSink()
            HeapMerge.merge(piece.span, from: 0, to: piece.count, tokenizer.vocabulary, into: &whole)
            var windowed = CollectingSink()
            WindowMerge.mergeLong(piece.span, from: 0, to: piece.count, tokenizer.vocabulary, into: &windowed)
            #expect(windowed.ids == whole.ids, "\(piece)")
            if count < 600 {
                let reference = try #require(SlowReference.all[encoding])
                #expect(whole.ids == reference.merge(piece), "\(piece)")
            }
        }
    }

    @Test func `stops soon after a limit and never says less than it`() throws {
        let tokenizer = try TokenFixtures.tokenizer(.o200kBase)
        let text = Array(String(repeating: "The quick brown fox, 12345. ", count: 50).utf8)
        let exact = tokenizer.count(of: text)
        for limit in [0, 1, exact - 1, exact, exact + 1, Int.max] {
            let count = tokenizer.count(of: text, stoppingAfter: limit)
            #expect(limit >= exact ? count == exact : count > limit && count <= exact, "\(limit)")
        }
        let endless = [UInt8](repeating: UInt8(ascii: "a"), count: 1 << 20)
        let stopped = tokenizer.count(of: endless, stoppingAfter: 10)
        #expect(stopped > 10 && stopped < 1_000, "a piece of a megabyte is left in its middle")
    }

    @Test(arguments: [(bytes: 0, low: 0), (1, 1), (128, 1), (129, 2), (1_000_000, 7_813)])
    func `has bounds that need no reading`(bytes: Int, low: Int) throws {
        let tokenizer = try TokenFixtures.tokenizer(.cl100kBase)
        #expect(tokenizer.lowerBound(byteCount: bytes) == low)
        #expect(tokenizer.upperBound(byteCount: bytes, isValidUTF8: true) == bytes)
        #expect(tokenizer.upperBound(byteCount: bytes, isValidUTF8: false) == 3 * bytes)
        #expect(tokenizer.upperBound(byteCount: .max, isValidUTF8: false) == .max)
    }

    @Test func `takes special tokens for text`() throws {
        let text = Array("<|endoftext|>".utf8)
        #expect(try TokenFixtures.tokenizer(.o200kBase).count(of: text) == 7)
    }

    @Test func `names its rows' digests as SHA-1 does`() {
        #expect(TokenDigest.hex([]) == "da39a3ee5e6b4b0d3255bfef95601890afd80709")
        // printf '1,2,3' | sha1sum
        #expect(TokenDigest.hex([1, 2, 3]) == "b85e2d4914e22b5ad3b82b312b3dc405dc17dcb8")
    }
}

/// Texts that go where the split rules have corners.
enum RandomText {
    private static let snippets: [String] = [
        "a", "Z", "ab", "The", "don", "'s", "'S", "'re", "'LL", "'\u{17f}", "'", "\u{2019}", " ", "  ", "\t", "\n",
        "\r\n", "\r", "\u{a0}", "\u{3000}", "\u{2028}", "\u{200b}", "1", "12", "3456", "\u{0664}", "\u{2167}", "\u{bd}",
        ".", "!!", "/", "//", "=", "(", "\u{301}", "e\u{301}", "\u{20dd}", "\u{3042}", "\u{4e2d}\u{6587}", "\u{1c5}",
        "\u{2b0}", "\u{430}\u{411}", "\u{df}", "\u{130}", "\u{1f600}", "\u{1f468}\u{200d}\u{1f469}", "\u{fffd}",
        "\u{feff}",
        "\u{ad}", "\u{a7ce}", "\u{10940}", "\u{378}", "<|endoftext|>", "ABC", "McDonald", "\u{5d0}", "\u{939}\u{93f}",
    ]
    /// Overlong, cut, surrogate and stray bytes.
    private static let broken: [[UInt8]] = [
        [0xff], [0x80], [0xc3], [0xc0, 0xaf], [0xe2, 0x82], [0xed, 0xa0, 0x80], [0xf0, 0x9f, 0x98],
        [0xf4, 0x90, 0x80, 0x80],
    ]

    static func make(_ generator: inout SeededGenerator) -> [UInt8] {
        var text: [UInt8] = []
        for _ in 0..<Int.random(in: 0..<10, using: &generator) {
            switch Int.random(in: 0..<16, using: &generator) {
            case 0: text += broken.randomElement(using: &generator) ?? []
            case 1:
                let value = UInt32.random(in: 0...0x10_ffff, using: &generator)
                text += Array(String(Character(Unicode.Scalar(value) ?? "x")).utf8)
            case 2: text.append(UInt8.random(in: 0...255, using: &generator))
            default: text += Array((snippets.randomElement(using: &generator) ?? "").utf8)
            }
        }
        // A mutation: a byte changed, doubled or dropped.
        if !text.isEmpty, Int.random(in: 0..<4, using: &generator) == 0 {
            let place = Int.random(in: 0..<text.count, using: &generator)
            switch Int.random(in: 0..<3, using: &generator) {
            case 0: text[place] = UInt8.random(in: 0...255, using: &generator)
            case 1: text.insert(text[place], at: place)
            default: text.remove(at: place)
            }
        }
        return text
    }
}
