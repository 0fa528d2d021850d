// Where a text is cut before anything is merged: the published regular expressions, each written out by hand as one pass
// over bytes. The shapes that they share are here.

/// One encoding's way to cut text into pieces.
protocol SplitRule {
    /// The end of the piece that begins at `start`, which is before the text's end.
    static func end(_ text: Span<UInt8>, from start: Int, _ reader: inout CharacterReader) -> Int
}

extension CharacterReader {
    /// The end of the run of characters from `start` that have a bit of `mask` (`isSet`), or none of them.
    @inline(__always)
    mutating func run(_ text: Span<UInt8>, from start: Int, _ mask: UInt8, isSet: Bool) -> Int {
        var index = start
        while index < text.count {
            let next = character(text, at: index)
            guard (next.bits & mask != 0) == isSet else { break }
            index &+= next.length
        }
        return index
    }

    /// The end of a run of white space, with the end of the last CR or LF in it, 0 if there is none.
    @inline(__always)
    mutating func whiteRun(_ text: Span<UInt8>, from start: Int) -> (end: Int, lastStart: Int, lineEnd: Int) {
        var index = start
        var lastStart = start
        var lineEnd = 0
        while index < text.count {
            let next = character(text, at: index)
            guard next.bits & UnicodeClasses.white != 0 else { break }
            lastStart = index
            index &+= next.length
            if next.bits & UnicodeClasses.lineEnd != 0 { lineEnd = index }
        }
        return (index, lastStart, lineEnd)
    }

    /// The end of up to three numbers, of which the first is known.
    @inline(__always)
    mutating func threeNumbers(_ text: Span<UInt8>, from start: Int, first: Character8) -> Int {
        var index = start &+ first.length
        var count = 1
        while count < 3, index < text.count {
            let next = character(text, at: index)
            guard next.bits & UnicodeClasses.number != 0 else { break }
            index &+= next.length
            count &+= 1
        }
        return index
    }
}

/// `'s 't 're 've 'm 'll 'd`.
enum Contraction {
    /// The length of the contraction whose apostrophe stands at `index`, 0 if it is none.
    ///
    /// Any case, and U+017F for s: what `(?i:…)` means.
    @inline(__always)
    static func length(_ text: Span<UInt8>, at index: Int) -> Int {
        guard index &+ 1 < text.count else { return 0 }
        let first = text[index &+ 1]
        switch first | 0x20 {
        case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
            // Only letters: 0x53 | 0x20 is s, and so is nothing else but 0x73.
            return 2
        case UInt8(ascii: "r"), UInt8(ascii: "v"):
            return index &+ 2 < text.count && text[index &+ 2] | 0x20 == UInt8(ascii: "e") ? 3 : 0
        case UInt8(ascii: "l"):
            return index &+ 2 < text.count && text[index &+ 2] | 0x20 == UInt8(ascii: "l") ? 3 : 0
        default:
            return first == 0xc5 && index &+ 2 < text.count && text[index &+ 2] == 0xbf ? 3 : 0
        }
    }

    /// The same, lower case only.
    @inline(__always)
    static func lowerCaseLength(_ text: Span<UInt8>, at index: Int) -> Int {
        guard index &+ 1 < text.count else { return 0 }
        switch text[index &+ 1] {
        case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
            return 2
        case UInt8(ascii: "r"), UInt8(ascii: "v"):
            return index &+ 2 < text.count && text[index &+ 2] == UInt8(ascii: "e") ? 3 : 0
        case UInt8(ascii: "l"):
            return index &+ 2 < text.count && text[index &+ 2] == UInt8(ascii: "l") ? 3 : 0
        default:
            return 0
        }
    }
}
