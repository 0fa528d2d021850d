// Rows in the text format of COPY FROM STDIN: a line a row, fields between tabs, \N for NULL.

/// Encodes rows for COPY, as "File Formats" of the manual's COPY page has them.
enum CopyText {
    /// What one PQputCopyData takes: large enough to cost few calls, small enough to leave the loop to others.
    private static let chunkBytes = 1 << 16

    static func encode(_ rows: [[PostgresValue]]) throws(PostgresError) -> [[UInt8]] {
        var chunks: [[UInt8]] = []
        var chunk: [UInt8] = []
        chunk.reserveCapacity(chunkBytes + 1024)
        for row in rows {
            for (index, value) in row.enumerated() {
                if index > 0 { chunk.append(UInt8(ascii: "\t")) }
                try append(value, to: &chunk)
            }
            chunk.append(UInt8(ascii: "\n"))
            guard chunk.count >= chunkBytes else { continue }
            chunks.append(chunk)
            chunk.removeAll(keepingCapacity: true)
        }
        if !chunk.isEmpty { chunks.append(chunk) }
        return chunks
    }

    private static func append(_ value: PostgresValue, to chunk: inout [UInt8]) throws(PostgresError) {
        if case .bytes(let bytes) = value {
            // bytea's hex form; its backslash is doubled as every one in COPY is.
            chunk += "\\\\x".utf8
            for byte in bytes {
                chunk.append(hexDigit(byte >> 4))
                chunk.append(hexDigit(byte & 15))
            }
        } else if let text = try value.serverText() {
            for byte in text.utf8 {
                switch byte {
                case UInt8(ascii: "\\"): chunk += "\\\\".utf8
                case UInt8(ascii: "\t"): chunk += "\\t".utf8
                case UInt8(ascii: "\n"): chunk += "\\n".utf8
                case UInt8(ascii: "\r"): chunk += "\\r".utf8
                default: chunk.append(byte)
                }
            }
        } else {
            chunk += "\\N".utf8
        }
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }
}
