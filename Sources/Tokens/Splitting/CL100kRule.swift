// The split of cl100k_base.
//
//   '(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|
//   \s+(?!\S)|\s                                                                  (tiktoken 0.14.0, openai_public.py)

/// The rule of cl100k_base.
enum CL100kRule: SplitRule {
    @inline(__always)
    static func end(_ text: Span<UInt8>, from start: Int, _ reader: inout CharacterReader) -> Int {
        let first = reader.character(text, at: start)
        let afterFirst = start &+ first.length
        if text[start] == UInt8(ascii: "'") {
            let length = Contraction.length(text, at: start)
            if length > 0 { return start &+ length }
        }
        if first.bits & UnicodeClasses.letter != 0 {
            return reader.run(text, from: afterFirst, UnicodeClasses.letter, isSet: true)
        }
        if first.bits & UnicodeClasses.number != 0 { return reader.threeNumbers(text, from: start, first: first) }
        let second = afterFirst < text.count ? reader.character(text, at: afterFirst) : nil
        if first.bits & UnicodeClasses.lineEnd == 0, let second, second.bits & UnicodeClasses.letter != 0 {
            return reader.run(text, from: afterFirst &+ second.length, UnicodeClasses.letter, isSet: true)
        }
        if first.bits & UnicodeClasses.white == 0 { return others(text, from: afterFirst, &reader) }
        if text[start] == UInt8(ascii: " "), let second, second.bits & UnicodeClasses.notOther == 0 {
            return others(text, from: afterFirst &+ second.length, &reader)
        }
        let white = reader.whiteRun(text, from: start)
        if white.end == text.count { return white.end }
        if white.lineEnd > 0 { return white.lineEnd }
        return white.lastStart == start ? white.end : white.lastStart
    }

    /// The end of a run of other characters from `start` on and the CR and LF after it.
    @inline(__always)
    private static func others(_ text: Span<UInt8>, from start: Int, _ reader: inout CharacterReader) -> Int {
        var index = reader.run(text, from: start, UnicodeClasses.notOther, isSet: false)
        while index < text.count, text[index] == UInt8(ascii: "\n") || text[index] == UInt8(ascii: "\r") {
            index &+= 1
        }
        return index
    }
}
