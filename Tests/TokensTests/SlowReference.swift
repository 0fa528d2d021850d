// A tokenizer that is right because it is stupid: the published patterns as they stand, matched by a backtracking regex
// engine that fits a page, and merging as the definition says it. Far too slow for anything but comparison.

import Foundation
import Testing

@testable import Tokens

/// A regular expression of the kind that the patterns use.
private indirect enum Pattern {
    case scalar(@Sendable (UInt32) -> Bool)
    case sequence([Pattern])
    case choice([Pattern])
    case repetition(Pattern, least: Int, most: Int, isPossessive: Bool)
    case notBefore(Pattern)
    case end

    /// The first match from a place, as its end; `next` is what has to match after it.
    func match(_ text: [UInt32], _ place: Int, _ next: (Int) -> Int?) -> Int? {
        switch self {
        case .scalar(let holds):
            return place < text.count && holds(text[place]) ? next(place + 1) : nil
        case .sequence(let parts):
            return Self.match(parts[...], text, place, next)
        case .choice(let options):
            for option in options {
                if let end = option.match(text, place, next) { return end }
            }
            return nil
        case .repetition(let part, let least, let most, false):
            return Self.greedy(part, least, most, text, place, next)
        case .repetition(let part, let least, let most, true):
            var place = place
            var count = 0
            while count < most, let end = part.match(text, place, { $0 }) {
                place = end
                count += 1
            }
            return count >= least ? next(place) : nil
        case .notBefore(let part):
            return part.match(text, place) { $0 } == nil ? next(place) : nil
        case .end:
            return place == text.count ? next(place) : nil
        }
    }

    private static func match(
        _ parts: ArraySlice<Pattern>,
        _ text: [UInt32],
        _ place: Int,
        _ next: (Int) -> Int?
    ) -> Int? {
        guard let first = parts.first else { return next(place) }
        return first.match(text, place) { match(parts.dropFirst(), text, $0, next) }
    }

    private static func greedy(
        _ part: Pattern,
        _ least: Int,
        _ most: Int,
        _ text: [UInt32],
        _ place: Int,
        _ next: (Int) -> Int?
    ) -> Int? {
        if most > 0, let end = part.match(text, place, { greedy(part, max(least - 1, 0), most - 1, text, $0, next) }) {
            return end
        }
        return least == 0 ? next(place) : nil
    }
}

/// Reads a pattern.
private struct PatternParser {
    let text: [Character]
    let classes: [String: Set<UInt32>]
    var index = 0
    var ignoresCase = false

    mutating func choice() -> Pattern {
        var options = [sequence()]
        while index < text.count, text[index] == "|" {
            index += 1
            options.append(sequence())
        }
        return options.count == 1 ? options[0] : .choice(options)
    }

    private mutating func sequence() -> Pattern {
        var parts: [Pattern] = []
        while index < text.count, text[index] != "|", text[index] != ")" { parts.append(quantified(atom())) }
        return .sequence(parts)
    }

    private mutating func quantified(_ part: Pattern) -> Pattern {
        guard index < text.count else { return part }
        let bounds: (Int, Int)
        switch text[index] {
        case "?": bounds = (0, 1)
        case "*": bounds = (0, .max)
        case "+": bounds = (1, .max)
        case "{":
            bounds = (1, 3)  // the only one there is
            index += 4
        default: return part
        }
        index += 1
        let isPossessive = index < text.count && text[index] == "+"
        if isPossessive { index += 1 }
        return .repetition(part, least: bounds.0, most: bounds.1, isPossessive: isPossessive)
    }

    private mutating func atom() -> Pattern {
        let character = text[index]
        index += 1
        switch character {
        case "(": return group()
        case "[": return .scalar(set())
        case "\\": return .scalar(escape())
        case "$": return .end
        default: return .scalar(literal(character))
        }
    }

    private mutating func group() -> Pattern {
        let head = String(text[index..<min(index + 3, text.count)])
        let outer = ignoresCase
        if head.hasPrefix("?i:") { ignoresCase = true }
        index += head.hasPrefix("?i:") ? 3 : 2  // ?: ?! ?i:
        let inner = choice()
        index += 1
        ignoresCase = outer
        return head.hasPrefix("?!") ? .notBefore(inner) : inner
    }

    private mutating func set() -> @Sendable (UInt32) -> Bool {
        let isNegated = text[index] == "^"
        if isNegated { index += 1 }
        var members: [@Sendable (UInt32) -> Bool] = []
        while text[index] != "]" {
            let character = text[index]
            index += 1
            members.append(character == "\\" ? escape() : literal(character))
        }
        index += 1
        return { [members] scalar in members.contains { $0(scalar) } != isNegated }
    }

    private mutating func escape() -> @Sendable (UInt32) -> Bool {
        let character = text[index]
        index += 1
        switch character {
        case "r": return { $0 == 13 }
        case "n": return { $0 == 10 }
        case "s": return { [white = classes["White_Space"] ?? []] in white.contains($0) }
        case "S": return { [white = classes["White_Space"] ?? []] in !white.contains($0) }
        default:  // p{…}
            let end = text[index...].firstIndex(of: "}") ?? text.endIndex
            let name = String(text[(index + 1)..<end])
            index = end + 1
            return { [members = classes[name] ?? []] in members.contains($0) }
        }
    }

    private func literal(_ character: Character) -> @Sendable (UInt32) -> Bool {
        let value = character.unicodeScalars.first.map(\.value) ?? 0
        guard ignoresCase, character.isLetter else { return { $0 == value } }
        return { $0 == value || $0 == value - 0x20 || ($0 == 0x17f && value == 0x73) }
    }
}

/// The slow tokenizer of one encoding.
struct SlowReference: @unchecked Sendable {
    // Immutable after init; `Pattern` holds only Sendable closures but is indirect, which the compiler does not see.
    private let pattern: Pattern
    private let ranks: [[UInt8]: UInt32]

    /// As tiktoken 0.14.0 has them (openai_public.py).
    private static let patterns: [EncodingName: String] = [
        .o200kBase: [
            #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"#,
            #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"#,
            #"\p{N}{1,3}"#, #" ?[^\s\p{L}\p{N}]+[\r\n/]*"#, #"\s*[\r\n]+"#, #"\s+(?!\S)"#, #"\s+"#,
        ].joined(separator: "|"),
        .cl100kBase:
            #"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"#,
        .p50kBase: #"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"#,
        .r50kBase: #"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"#,
    ]

    static let all: [EncodingName: SlowReference] = {
        do {
            let classes = try SlowReference.classes()
            return try Dictionary(
                uniqueKeysWithValues: EncodingName.allCases.map { ($0, try SlowReference($0, classes)) }
            )
        } catch {
            Issue.record(error)
            return [:]
        }
    }()

    /// Straight from the ranges, not from the tables made of them.
    private static func classes() throws -> [String: Set<UInt32>] {
        let file = TokenFixtures.root.appending(path: "Sources/Tokens/Generated/unicode-16.0.json")
        let object = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
        let ranges = try #require(object["classes"] as? [String: [[UInt32]]])
        var classes = ranges.mapValues { Set($0.flatMap { Array($0[0]...$0[1]) }) }
        classes["L"] = ["Lu", "Ll", "Lt", "Lm", "Lo"].reduce(into: []) { $0.formUnion(classes[$1] ?? []) }
        return classes
    }

    private init(_ encoding: EncodingName, _ classes: [String: Set<UInt32>]) throws {
        var parser = PatternParser(text: Array(try #require(Self.patterns[encoding])), classes: classes)
        pattern = parser.choice()
        let path = "\(TokenFixtures.vocabularies)/\(encoding.name).vocabulary"
        let file = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        let count = (0..<4).reduce(0) { $0 | Int(file[16 + $1]) << (8 * $1) }
        var ranks: [[UInt8]: UInt32] = [:]
        ranks.reserveCapacity(count)
        var offset = 44 + 7 * count
        for id in 0..<count {
            let length = Int(file[44 + id])
            if length > 0 { ranks[Array(file[offset..<(offset + length)])] = UInt32(id) }
            offset += length
        }
        self.ranks = ranks
    }

    func encode(_ bytes: [UInt8]) -> [UInt32] {
        let text = String(decoding: bytes, as: UTF8.self).unicodeScalars.map(\.value)
        var ids: [UInt32] = []
        var start = 0
        while start < text.count {
            guard let end = pattern.match(text, start, { $0 }), end > start else {
                Issue.record("the pattern matches nothing at \(start) of \(text)")
                return ids
            }
            var piece = String.UnicodeScalarView()
            for value in text[start..<end] { piece.append(Unicode.Scalar(value) ?? "?") }
            ids += merge(Array(String(piece).utf8))
            start = end
        }
        return ids
    }

    /// From single bytes, the adjacent pair of the lowest rank, leftmost first, until there is none.
    func merge(_ piece: [UInt8]) -> [UInt32] {
        var parts = piece.map { [$0] }
        while parts.count > 1 {
            var best: (rank: UInt32, place: Int)?
            for place in 0..<(parts.count - 1) {
                guard let rank = ranks[parts[place] + parts[place + 1]] else { continue }
                if best.map({ rank < $0.rank }) ?? true { best = (rank, place) }
            }
            guard let best else { break }
            parts[best.place] += parts.remove(at: best.place + 1)
        }
        return parts.compactMap { ranks[$0] }
    }
}
