// Counts and encodes text exactly as tiktoken's `encode_ordinary` does: cut into pieces, look each up whole, merge those
// that are no token. Text that looks like a special token is ordinary text: a client must not be able to inject one.

/// An encoding, ready to use.
///
/// One for the whole process, shared by all threads.
public final class Tokenizer: Sendable {
    /// Which encoding this is.
    public let encoding: EncodingName
    let vocabulary: Vocabulary
    let classes: UnicodeClasses

    init(_ encoding: EncodingName, _ vocabulary: Vocabulary) {
        self.encoding = encoding
        self.vocabulary = vocabulary
        classes = .shared
    }

    // MARK: Counting

    /// Counts the tokens of a text.
    ///
    /// Allocates nothing, unless the text has runs of more than 128 bytes that are not UTF-8.
    ///
    /// - Parameter text: bytes; those that are not UTF-8 count as U+FFFD, one for each maximal invalid subpart.
    /// - Returns: the exact number of tokens.
    public func count(_ text: Span<UInt8>) -> Int { count(text, stoppingAfter: .max) }

    /// Counts the tokens of a text until there are more than a limit.
    ///
    /// - Parameters:
    ///   - text: bytes; those that are not UTF-8 count as U+FFFD.
    ///   - limit: not negative.
    /// - Returns: the exact number if it is at most `limit`; otherwise some number over `limit` that is not more than
    ///   the exact one, found without reading on.
    public func count(_ text: Span<UInt8>, stoppingAfter limit: Int) -> Int {
        var sink = CountingSink(limit: limit)
        tokenize(text, into: &sink)
        return sink.count
    }

    /// The tokens of a text.
    ///
    /// - Parameter text: bytes; those that are not UTF-8 stand for U+FFFD.
    /// - Returns: the ids, in order.
    public func encode(_ text: Span<UInt8>) -> [UInt32] {
        var sink = CollectingSink()
        tokenize(text, into: &sink)
        return sink.ids
    }

    // MARK: Bounds that need no reading

    /// The fewest tokens that so many bytes can be.
    ///
    /// - Parameter byteCount: not negative.
    /// - Returns: as if all were the longest token; 128 bytes in every encoding.
    public func lowerBound(byteCount: Int) -> Int {
        byteCount / vocabulary.maxTokenBytes + (byteCount % vocabulary.maxTokenBytes == 0 ? 0 : 1)
    }

    /// The most tokens that so many bytes can be.
    ///
    /// - Parameters:
    ///   - byteCount: not negative.
    ///   - isValidUTF8: whether the bytes are known to be UTF-8, as a scanned body is.
    /// - Returns: a token for each byte; three for each where every byte may become U+FFFD, saturating.
    public func upperBound(byteCount: Int, isValidUTF8: Bool) -> Int {
        guard !isValidUTF8 else { return byteCount }
        let (product, overflows) = byteCount.multipliedReportingOverflow(by: 3)
        return overflows ? Int.max : product
    }

    // MARK: One pass

    func tokenize<Sink: TokenSink>(_ text: Span<UInt8>, into sink: inout Sink) {
        switch encoding {
        case .o200kBase: tokenize(text, O200kRule.self, into: &sink)
        case .cl100kBase: tokenize(text, CL100kRule.self, into: &sink)
        case .p50kBase, .r50kBase: tokenize(text, R50kRule.self, into: &sink)
        }
    }

    private func tokenize<Rule: SplitRule, Sink: TokenSink>(
        _ text: Span<UInt8>,
        _ rule: Rule.Type,
        into sink: inout Sink
    ) {
        var reader = CharacterReader(classes: classes)
        var merge = PieceMerge(vocabulary)
        var start = 0
        while start < text.count, !sink.isFull {
            let end = Rule.end(text, from: start, &reader)
            if reader.sawBroken {
                reader.sawBroken = false
                merge.takeBroken(text, from: start, to: end, into: &sink)
            } else {
                merge.take(text, from: start, count: end &- start, into: &sink)
            }
            start = end
        }
    }
}
