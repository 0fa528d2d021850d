// A call's arguments and a tool's answer as the model is believed to see them. Both are JSON inside a JSON string, so the
// outer string is decoded first; that one copy is bounded.

internal import LLMWire

/// Renders a JSON object: `{` LF, `"key":"value"` joined by `,` LF, LF `}`.
///
/// - Source: forestwanglin/openai-java, by what it counts.
struct ArgumentText {
    /// Longer texts are counted as they are.
    static let maxBytes = 1 << 20

    /// Whether numbers outside lists stand in quotes, and nested objects are left out: arguments, not answers.
    private let quotesNumbers: Bool
    private let text: [UInt8]
    /// Members of the outermost object.
    let memberCount: Int

    /// Reads the object that a string's text is; nil if it is none.
    init?(_ string: JSONString, in body: Span<UInt8>, quotesNumbers: Bool) {
        self.quotesNumbers = quotesNumbers
        guard string.decodedCount >= 2, string.decodedCount <= Self.maxBytes else { return nil }
        let text = string.slice.decoded(in: body)
        guard let count = Self.memberCount(text.span) else { return nil }
        self.text = text
        memberCount = count
    }

    /// How many members an object has; nil if the text is anything else.
    private static func memberCount(_ text: Span<UInt8>) -> Int? {
        do throws(ScanError) {
            var reader = JSONReader(isStrict: false)
            guard reader.peek(text) == UInt8(ascii: "{") else { return nil }
            try reader.enterContainer()
            var count = 0
            var isFirst = true
            while try reader.nextKey(text, isFirst: &isFirst) != nil {
                try reader.skip(text)
                count += 1
            }
            try reader.expectEnd(text)
            return count
        } catch {
            return nil  // not JSON: ordinary text
        }
    }

    /// Renders it.
    func append(to feed: inout TextFeed) {
        do throws(ScanError) {
            var reader = JSONReader(isStrict: false)
            _ = reader.peek(text.span)
            try object(&reader, text.span, &feed)
        } catch {
            preconditionFailure("it was read before")
        }
    }

    private func object(
        _ reader: inout JSONReader,
        _ json: Span<UInt8>,
        _ feed: inout TextFeed
    ) throws(ScanError) {
        try reader.enterContainer()
        feed.append("{\n")
        var count = 0
        var isFirst = true
        while let key = try reader.nextKey(json, isFirst: &isFirst) {
            if count > 0 { feed.append(",\n") }
            count += 1
            feed.append("\"")
            feed.append(key, in: json)
            feed.append("\":")
            try value(&reader, json, &feed)
        }
        feed.append("\n}")
    }

    private func value(
        _ reader: inout JSONReader,
        _ json: Span<UInt8>,
        _ feed: inout TextFeed
    ) throws(ScanError) {
        switch reader.peek(json) {
        case UInt8(ascii: "["):
            try list(&reader, json, &feed)
        case UInt8(ascii: "{") where !quotesNumbers:
            try object(&reader, json, &feed)
        case UInt8(ascii: "-") where !quotesNumbers, UInt8(ascii: "0")...UInt8(ascii: "9") where !quotesNumbers:
            let start = try reader.number(json)
            feed.append(json, from: start, to: reader.index)
        default:
            try quoted(&reader, json, &feed)
        }
    }

    /// `["a","b"]` of strings and numbers; `""` if anything else is in it.
    private func list(
        _ reader: inout JSONReader,
        _ json: Span<UInt8>,
        _ feed: inout TextFeed
    ) throws(ScanError) {
        var probe = reader
        try probe.enterContainer()
        var isFirst = true
        var isSimple = true
        while try probe.nextElement(json, isFirst: &isFirst) {
            let byte = probe.peek(json)
            isSimple = isSimple && (byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "-") || byte &- 48 < 10)
            try probe.skip(json)
        }
        guard isSimple else {
            feed.append("\"\"")
            reader = probe
            return
        }
        try reader.enterContainer()
        feed.append("[")
        isFirst = true
        var count = 0
        while try reader.nextElement(json, isFirst: &isFirst) {
            if count > 0 { feed.append(",") }
            count += 1
            try quoted(&reader, json, &feed)
        }
        feed.append("]")
    }

    /// A string or number in quotes; `""` for anything else.
    private func quoted(
        _ reader: inout JSONReader,
        _ json: Span<UInt8>,
        _ feed: inout TextFeed
    ) throws(ScanError) {
        feed.append("\"")
        switch reader.peek(json) {
        case UInt8(ascii: "\""):
            feed.append(try reader.string(json), in: json)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            let start = try reader.number(json)
            feed.append(json, from: start, to: reader.index)
        default:
            try reader.skip(json)
        }
        feed.append("\"")
    }
}
