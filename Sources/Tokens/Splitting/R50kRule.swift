// The split of r50k_base and p50k_base: GPT-2's.
//
//   '(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s
//                                                                                 (tiktoken 0.14.0, openai_public.py)

/// The rule of r50k_base, p50k_base and p50k_edit.
enum R50kRule: SplitRule {
    @inline(__always)
    static func end(_ text: Span<UInt8>, from start: Int, _ reader: inout CharacterReader) -> Int {
        if text[start] == UInt8(ascii: "'") {
            let length = Contraction.lowerCaseLength(text, at: start)
            if length > 0 { return start &+ length }
        }
        var body = start
        if text[start] == UInt8(ascii: " "), start &+ 1 < text.count { body = start &+ 1 }
        let first = reader.character(text, at: body)
        let afterFirst = body &+ first.length
        if first.bits & UnicodeClasses.letter != 0 {
            return reader.run(text, from: afterFirst, UnicodeClasses.letter, isSet: true)
        }
        if first.bits & UnicodeClasses.number != 0 {
            return reader.run(text, from: afterFirst, UnicodeClasses.number, isSet: true)
        }
        if first.bits & UnicodeClasses.white == 0 {
            return reader.run(text, from: afterFirst, UnicodeClasses.notOther, isSet: false)
        }
        let white = reader.whiteRun(text, from: start)
        return white.end == text.count || white.lastStart == start ? white.end : white.lastStart
    }
}
