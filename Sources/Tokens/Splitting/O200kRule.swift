// The split of o200k_base, whose words know upper and lower case.
//
//   [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//   [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//   \p{N}{1,3} |  ?[^\s\p{L}\p{N}]+[\r\n/]* | \s*[\r\n]+ | \s+(?!\S) | \s+      (tiktoken 0.14.0, openai_public.py)

/// The rule of o200k_base.
enum O200kRule: SplitRule {
    @inline(__always)
    static func end(_ text: Span<UInt8>, from start: Int, _ reader: inout CharacterReader) -> Int {
        let first = reader.character(text, at: start)
        let afterFirst = start &+ first.length
        if first.bits & UnicodeClasses.notPrefix == 0 {
            // A mark may be the prefix of a word or stand in it: only if the first form finds none after it is the
            // mark itself the word's beginning, and that form then always matches.
            let word = word(text, from: afterFirst, &reader)
            if word.isFirstForm || (word.end > afterFirst && first.bits & UnicodeClasses.upper == 0) {
                return contracted(text, word.end)
            }
            if first.bits & UnicodeClasses.upper != 0 {
                return contracted(text, Self.word(text, from: start, &reader).end)
            }
        } else if first.bits & UnicodeClasses.letter != 0 {
            return contracted(text, word(text, from: start, &reader).end)
        } else if first.bits & UnicodeClasses.number != 0 {
            return reader.threeNumbers(text, from: start, first: first)
        }
        if first.bits & UnicodeClasses.white == 0 { return others(text, from: afterFirst, &reader) }
        if text[start] == UInt8(ascii: " "), afterFirst < text.count {
            let second = reader.character(text, at: afterFirst)
            if second.bits & UnicodeClasses.notOther == 0 {
                return others(text, from: afterFirst &+ second.length, &reader)
            }
        }
        let white = reader.whiteRun(text, from: start)
        if white.lineEnd > 0 { return white.lineEnd }
        return white.end == text.count || white.lastStart == start ? white.end : white.lastStart
    }

    /// The end of a word from `start`, which is `start` if there is none, and whether its first form matched.
    ///
    /// The first form, `U*W+`: the run of U, then a run of W; or, if none follows, the U run up to its last W. The
    /// second, `U+W*`: the run of U, since a W after it would have been the first form.
    @inline(__always)
    private static func word(
        _ text: Span<UInt8>,
        from start: Int,
        _ reader: inout CharacterReader
    ) -> (end: Int, isFirstForm: Bool) {
        var index = start
        var afterLastLower = 0
        while index < text.count {
            let next = reader.character(text, at: index)
            if next.bits & UnicodeClasses.upper == 0 {
                guard next.bits & UnicodeClasses.lower != 0 else { break }
                index = reader.run(text, from: index &+ next.length, UnicodeClasses.lower, isSet: true)
                return (index, true)
            }
            index &+= next.length
            if next.bits & UnicodeClasses.lower != 0 { afterLastLower = index }
        }
        return afterLastLower > 0 ? (afterLastLower, true) : (index, false)
    }

    @inline(__always)
    private static func contracted(_ text: Span<UInt8>, _ end: Int) -> Int {
        guard end < text.count, text[end] == UInt8(ascii: "'") else { return end }
        return end &+ Contraction.length(text, at: end)
    }

    /// The end of a run of other characters from `start` on and the CR, LF and `/` after it.
    @inline(__always)
    private static func others(_ text: Span<UInt8>, from start: Int, _ reader: inout CharacterReader) -> Int {
        var index = reader.run(text, from: start, UnicodeClasses.notOther, isSet: false)
        while index < text.count {
            let byte = text[index]
            guard byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") || byte == UInt8(ascii: "/") else { break }
            index &+= 1
        }
        return index
    }
}
