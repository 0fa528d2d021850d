// One row of counting work as a line of JSON, and its answer: how rows of other implementations are compared with ours,
// by `weir tokens count --jsonl` and by the tests. For tools; a gateway counts the bodies it has.
//
//   {"id", "encoding" or "model", "text" or "text_b64" or "body"}  →  {"id", "tokens", "ids_sha"} or {"id", "error"}

internal import LLMWire

/// Answers rows.
///
/// Confined to its owner.
public struct TokenRowCounter {
    private var prompts = PromptCounter()
    private var models = ModelCache()

    /// A counter for any number of rows.
    public init() {}

    /// Answers one row.
    ///
    /// - Parameter line: one JSON object; unknown members are ignored.
    /// - Returns: the answer as JSON without a line end. A row that cannot be counted answers with its `id`, null if it
    ///   has none, and an `error`.
    public mutating func answer(_ line: Span<UInt8>) -> [UInt8] {
        var id: [UInt8] = Array("null".utf8)
        var output: [UInt8] = Array("{\"id\":".utf8)
        do throws(RowError) {
            let row = try Row(line, id: &id)
            let counted = try count(row, line)
            output += id + Array(",\"tokens\":\(counted.tokens)".utf8)
            if let digest = counted.digest { output += Array(",\"ids_sha\":\"\(digest)\"".utf8) }
        } catch {
            output += id + Array(",\"error\":\"\(error.text)\"".utf8)
        }
        output.append(UInt8(ascii: "}"))
        return output
    }

    private mutating func count(_ row: Row, _ line: Span<UInt8>) throws(RowError) -> (tokens: Int, digest: String?) {
        let model = try row.profile(line, &models)
        let tokenizer: Tokenizer
        do throws(VocabularyError) {
            tokenizer = try Tokenizer.shared(model.encoding)
        } catch {
            throw RowError("the vocabulary could not be loaded: \(error)")
        }
        if row.bodyEnd > 0 {
            do throws(ScanError) {
                let count = try prompts.count(
                    line.extracting(row.bodyStart..<row.bodyEnd),
                    endpoint: .chatCompletions,
                    model: model,
                    with: tokenizer
                )
                return (count.tokens, nil)
            } catch {
                throw RowError("body: \(error.reason)")
            }
        }
        let text = try row.text(line)
        let ids = tokenizer.encode(text.span)
        return (ids.count, TokenDigest.hex(ids))
    }
}

/// Why a row has no answer; the text is ours, no byte of the row is in it.
struct RowError: Error {
    let text: String

    init(_ text: String) {
        self.text = String(text.unicodeScalars.filter { $0.isASCII && $0.value >= 0x20 && $0 != "\"" && $0 != "\\" })
    }
}

/// A row's members.
private struct Row {
    private var encoding: JSONString?
    private var model: JSONString?
    private var plainText: JSONString?
    private var base64: JSONString?
    private(set) var bodyStart = 0
    private(set) var bodyEnd = 0

    init(_ line: Span<UInt8>, id: inout [UInt8]) throws(RowError) {
        do throws(ScanError) {
            // Lenient: half a surrogate pair is text like any other here, U+FFFD.
            var reader = JSONReader(isStrict: false)
            guard reader.peek(line) == UInt8(ascii: "{") else { throw ScanError(.notAnObject, at: 0) }
            try reader.enterContainer()
            var isFirst = true
            while let key = try reader.nextKey(line, isFirst: &isFirst) {
                _ = reader.peek(line)
                let start = reader.index
                if key.equals("id", in: line) {
                    try reader.skip(line)
                    id.removeAll()
                    TextBytes.append(line, from: start, to: reader.index, into: &id)
                } else if key.equals("encoding", in: line) {
                    encoding = try reader.stringOrSkip(line)
                } else if key.equals("model", in: line) {
                    model = try reader.stringOrSkip(line)
                } else if key.equals("text", in: line) {
                    plainText = try reader.stringOrSkip(line)
                } else if key.equals("text_b64", in: line) {
                    base64 = try reader.stringOrSkip(line)
                } else {
                    let isBody = key.equals("body", in: line)
                    try reader.skip(line)
                    if isBody { (bodyStart, bodyEnd) = (start, reader.index) }
                }
            }
            try reader.expectEnd(line)
        } catch {
            throw RowError("the row is not a JSON object: \(error.reason) at byte \(error.offset)")
        }
    }

    func profile(_ line: Span<UInt8>, _ models: inout ModelCache) throws(RowError) -> ModelProfile {
        if let encoding {
            let name = encoding.slice.decoded(in: line)
            guard let named = EncodingName(name: name.span) else { throw RowError("there is no such encoding") }
            guard let model else { return ModelProfile(named, .known) }
            let spelled = model.slice.decoded(in: line)
            return models.profile(spelled.span, override: named)
        }
        guard let model else { throw RowError("the row has neither encoding nor model") }
        let spelled = model.slice.decoded(in: line)
        return models.profile(spelled.span)
    }

    func text(_ line: Span<UInt8>) throws(RowError) -> [UInt8] {
        if let plainText { return plainText.slice.decoded(in: line) }
        guard let base64 else { throw RowError("the row has no text, text_b64 or body") }
        guard let bytes = Self.decoded(base64: base64.slice.decoded(in: line)) else {
            throw RowError("text_b64 is not base64")
        }
        return bytes
    }

    /// RFC 4648 with padding; nil if it is anything else.
    private static func decoded(base64: [UInt8]) -> [UInt8]? {
        guard base64.count % 4 == 0 else { return nil }
        var output: [UInt8] = []
        output.reserveCapacity(base64.count / 4 * 3)
        for start in stride(from: 0, to: base64.count, by: 4) {
            let isLast = start + 4 == base64.count
            var bits: UInt32 = 0
            var padding = 0
            for byte in base64[start..<(start + 4)] {
                let value: UInt32
                switch byte {
                case UInt8(ascii: "A")...UInt8(ascii: "Z") where padding == 0: value = UInt32(byte) - 65
                case UInt8(ascii: "a")...UInt8(ascii: "z") where padding == 0: value = UInt32(byte) - 71
                case UInt8(ascii: "0")...UInt8(ascii: "9") where padding == 0: value = UInt32(byte) + 4
                case UInt8(ascii: "+") where padding == 0: value = 62
                case UInt8(ascii: "/") where padding == 0: value = 63
                case UInt8(ascii: "=") where isLast && padding < 2:
                    value = 0
                    padding += 1
                default: return nil
                }
                bits = bits << 6 | value
            }
            for index in 0..<(3 - padding) {
                output.append(UInt8(truncatingIfNeeded: bits >> (16 - 8 * UInt32(index))))
            }
        }
        return output
    }
}
