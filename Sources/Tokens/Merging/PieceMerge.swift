// One piece to its tokens, by the cheapest way that its length allows. Nine of ten pieces of prose and code end with the
// first lookup.

/// Turns pieces into tokens; its buffers are made when first needed and serve a whole text.
struct PieceMerge: ~Copyable {
    private let vocabulary: Vocabulary
    private var short = ShortMerge()
    private var window: WindowMerge?

    init(_ vocabulary: Vocabulary) {
        self.vocabulary = vocabulary
        window = nil
    }

    /// Takes a piece of well-formed text.
    @inline(__always)
    mutating func take<Sink: TokenSink>(_ text: Span<UInt8>, from start: Int, count: Int, into sink: inout Sink) {
        if count > 2 {
            let id = vocabulary.token(text, from: start, count: count)
            if id != Vocabulary.none { return sink.take(id) }
            merge(text, from: start, count: count, into: &sink)
        } else if count == 1 {
            sink.take(vocabulary.byteIDs[Int(text[start])])
        } else {
            let first = Int(text[start])
            let second = Int(text[start &+ 1])
            let id = vocabulary.bytePairs[first << 8 | second]
            if id != Vocabulary.none { return sink.take(id) }
            sink.take(vocabulary.byteIDs[first])
            sink.take(vocabulary.byteIDs[second])
        }
    }

    @inline(never)
    private mutating func merge<Sink: TokenSink>(
        _ text: Span<UInt8>,
        from start: Int,
        count: Int,
        into sink: inout Sink
    ) {
        if count <= ShortMerge.maxBytes {
            short.merge(text, from: start, count: count, vocabulary, into: &sink)
        } else if count <= WindowMerge.maxBytes {
            if window == nil { window = WindowMerge() }
            window?.merge(text, from: start, count: count, vocabulary)
            window?.give(upTo: count, into: &sink)
        } else {
            WindowMerge.mergeLong(text, from: start, to: start + count, vocabulary, into: &sink)
        }
    }

    /// Bytes of a broken piece that are repaired on the stack: each may become three.
    private static let smallBytes = 128

    /// Takes a piece in which U+FFFD stands for what is not UTF-8.
    @inline(never)
    mutating func takeBroken<Sink: TokenSink>(_ text: Span<UInt8>, from start: Int, to end: Int, into sink: inout Sink)
    {
        if end - start <= Self.smallBytes {
            var repaired: [384 of UInt8] = .init(repeating: 0)
            var count = 0
            Self.repair(text, from: start, to: end) { byte in
                repaired[count] = byte
                count += 1
            }
            take(repaired.span, from: 0, count: count, into: &sink)
        } else {
            var repaired: [UInt8] = []
            repaired.reserveCapacity(3 * (end - start))
            Self.repair(text, from: start, to: end) { repaired.append($0) }
            take(repaired.span, from: 0, count: repaired.count, into: &sink)
        }
    }

    @inline(__always)
    private static func repair(_ text: Span<UInt8>, from start: Int, to end: Int, _ write: (UInt8) -> Void) {
        var index = start
        while index < end {
            let byte = text[index]
            if byte < 0x80 {
                write(byte)
                index += 1
                continue
            }
            let (scalar, length) = CharacterReader.decode(text, at: index)
            if scalar == CharacterReader.broken {
                write(0xef)
                write(0xbf)
                write(0xbd)
            } else {
                for place in index..<(index + length) { write(text[place]) }
            }
            index += length
        }
    }
}
