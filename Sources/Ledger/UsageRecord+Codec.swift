// A usage record as bytes: the writer cuts every field to its bound, the reader refuses what is outside it, so that
// nothing a client or a provider sent can make a batch that the control plane has to refuse again and again.

internal import Codec

extension UsageRecord {
    /// No record takes fewer bytes than this: 28 fields of one byte each.
    static let minEncodedBytes = 28

    /// An upper bound of the encoded size in bytes, from the lengths alone.
    var encodedSizeBound: Int {
        let texts =
            requestID.utf8.count + organisation.utf8.count + appID.utf8.count + keyID.utf8.count + model.utf8.count
            + providerID.utf8.count + upstreamModel.utf8.count + (refusedBy?.utf8.count ?? 0)
            + (reason?.utf8.count ?? 0)
        // Nine lengths of two bytes at most, fifteen varints of ten, six single bytes.
        return min(texts, Self.maxRequestIDBytes + 8 * Self.maxTextBytes) + 9 * 2 + 15 * 10 + 6
            + 3 + min(explanation?.utf8.count ?? 0, Self.maxExplanationBytes)
    }

    func write(to writer: inout ByteWriter) {
        writer.write(varint: sequence)
        Self.write(requestID, maxBytes: Self.maxRequestIDBytes, to: &writer)
        writer.write(varint: UInt64(min(max(startedAt, 0), Self.maxMilliseconds)))
        writer.write(varint: UInt64(min(max(finishedAt, 0), Self.maxMilliseconds)))
        Self.write(organisation, maxBytes: Self.maxTextBytes, to: &writer)
        Self.write(appID, maxBytes: Self.maxTextBytes, to: &writer)
        Self.write(keyID, maxBytes: Self.maxTextBytes, to: &writer)
        Self.write(model, maxBytes: Self.maxTextBytes, to: &writer)
        Self.write(providerID, maxBytes: Self.maxTextBytes, to: &writer)
        Self.write(upstreamModel, maxBytes: Self.maxTextBytes, to: &writer)
        writer.write(u8: endpoint)
        writer.write(varint: UInt64(status))
        writer.write(u8: outcome.rawValue)
        writer.write(bool: isStream)
        writer.write(u8: source.rawValue)
        Self.write(promptTokens, to: &writer)
        Self.write(completionTokens, to: &writer)
        Self.write(totalTokens, to: &writer)
        Self.write(cachedTokens, to: &writer)
        Self.write(cacheWriteTokens, to: &writer)
        Self.write(reasoningTokens, to: &writer)
        Self.write(requestBytes, to: &writer)
        Self.write(responseBytes, to: &writer)
        Self.write(latencyMicroseconds, to: &writer)
        Self.write(firstByteMicroseconds, to: &writer)
        Self.write(refusedBy, to: &writer)
        Self.write(reason, to: &writer)
        writer.write(varint: snapshotVersion)
        let explanation = explanation.flatMap { Self.isExplanation($0) ? $0 : nil }
        writer.write(bool: explanation != nil)
        if let explanation { writer.write(string: explanation) }
    }

    /// Cut short it would not be JSON any more.
    private static func isExplanation(_ text: String) -> Bool {
        text.utf8.count <= maxExplanationBytes && !text.utf8.contains(0)
    }

    /// Reads what a format of batches has of it.
    init(from reader: inout ByteReader, format: UInt8) throws(CodecError) {
        sequence = try reader.varint()
        requestID = try Self.text(from: &reader, maxBytes: Self.maxRequestIDBytes)
        startedAt = try Self.figure(from: &reader, max: Self.maxMilliseconds)
        finishedAt = try Self.figure(from: &reader, max: Self.maxMilliseconds)
        organisation = try Self.text(from: &reader, maxBytes: Self.maxTextBytes)
        appID = try Self.text(from: &reader, maxBytes: Self.maxTextBytes)
        keyID = try Self.text(from: &reader, maxBytes: Self.maxTextBytes)
        model = try Self.text(from: &reader, maxBytes: Self.maxTextBytes)
        providerID = try Self.text(from: &reader, maxBytes: Self.maxTextBytes)
        upstreamModel = try Self.text(from: &reader, maxBytes: Self.maxTextBytes)
        endpoint = try reader.u8()
        status = UInt16(try Self.figure(from: &reader, max: Int64(UInt16.max)))
        let outcomeOffset = reader.offset
        guard let outcome = Outcome(rawValue: try reader.u8()) else {
            throw CodecError(.invalid, offset: outcomeOffset)
        }
        self.outcome = outcome
        isStream = try reader.bool()
        let sourceOffset = reader.offset
        guard let source = Source(rawValue: try reader.u8()) else { throw CodecError(.invalid, offset: sourceOffset) }
        self.source = source
        promptTokens = try Self.figure(from: &reader, max: Self.maxFigure)
        completionTokens = try Self.figure(from: &reader, max: Self.maxFigure)
        totalTokens = try Self.figure(from: &reader, max: Self.maxFigure)
        cachedTokens = try Self.figure(from: &reader, max: Self.maxFigure)
        cacheWriteTokens = try Self.figure(from: &reader, max: Self.maxFigure)
        reasoningTokens = try Self.figure(from: &reader, max: Self.maxFigure)
        requestBytes = try Self.figure(from: &reader, max: Self.maxFigure)
        responseBytes = try Self.figure(from: &reader, max: Self.maxFigure)
        latencyMicroseconds = try Self.figure(from: &reader, max: Self.maxFigure)
        firstByteMicroseconds = try Self.figure(from: &reader, max: Self.maxFigure)
        refusedBy = try reader.bool() ? Self.text(from: &reader, maxBytes: Self.maxTextBytes) : nil
        reason = try reader.bool() ? Self.text(from: &reader, maxBytes: Self.maxTextBytes) : nil
        snapshotVersion = try reader.varint()
        let isExplained = format > 1 ? try reader.bool() : false
        explanation = isExplained ? try Self.text(from: &reader, maxBytes: Self.maxExplanationBytes) : nil
    }

    /// Below 0 becomes 0: no odd report may ever credit a limit or a bill.
    private static func write(_ figure: Int64, to writer: inout ByteWriter) {
        writer.write(varint: UInt64(min(max(figure, 0), maxFigure)))
    }

    private static func write(_ text: String?, to writer: inout ByteWriter) {
        writer.write(bool: text != nil)
        if let text {
            write(text, maxBytes: maxTextBytes, to: &writer)
        }
    }

    /// Writes the text without U+0000, which PostgreSQL's `text` cannot hold, cut between Unicode scalars.
    private static func write(_ text: String, maxBytes: Int, to writer: inout ByteWriter) {
        var text = text
        if text.utf8.contains(0) {
            text.unicodeScalars.removeAll { $0.value == 0 }
        }
        guard text.utf8.count > maxBytes else {
            writer.write(string: text)
            return
        }
        var end = text.utf8.index(text.startIndex, offsetBy: maxBytes)
        while end > text.startIndex, text.utf8[end] & 0xC0 == 0x80 {
            end = text.utf8.index(before: end)
        }
        writer.write(string: String(text[..<end]))
    }

    static func text(from reader: inout ByteReader, maxBytes: Int) throws(CodecError) -> String {
        let start = reader.offset
        let text = try reader.string(max: maxBytes)
        guard !text.utf8.contains(0) else { throw CodecError(.invalid, offset: start) }
        return text
    }

    private static func figure(from reader: inout ByteReader, max: Int64) throws(CodecError) -> Int64 {
        let start = reader.offset
        let value = try reader.varint()
        guard value <= UInt64(max) else { throw CodecError(.invalid, offset: start) }
        return Int64(value)
    }
}
