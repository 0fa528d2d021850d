// JSON strings written by hand: logs and reports need an escape routine, not an encoder, and no Foundation.

/// Writes JSON text into bytes.
public enum JSONText {
    private static let hexDigits: [UInt8] = Array("0123456789abcdef".utf8)
    private static let ellipsis: [UInt8] = [0xE2, 0x80, 0xA6]

    /// Appends a quoted JSON string.
    ///
    /// Besides what JSON demands it escapes DEL, the C1 controls and U+2028/2029, so that no value can move a
    /// terminal's cursor or look like a second line.
    ///
    /// - Parameters:
    ///   - text: any text; taken as its UTF-8 bytes.
    ///   - bytes: the buffer to append to.
    ///   - maxBytes: how many bytes of `text` to write; longer text is cut between two characters and ends in `…`.
    public static func append(_ text: String, to bytes: inout [UInt8], maxBytes: Int = .max) {
        bytes.append(UInt8(ascii: "\""))
        var written = 0
        for scalar in text.unicodeScalars {
            let length = UTF8.width(scalar)
            guard written + length <= maxBytes else {
                bytes.append(contentsOf: ellipsis)
                break
            }
            written += length
            append(scalar, to: &bytes)
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private static func append(_ scalar: Unicode.Scalar, to bytes: inout [UInt8]) {
        switch scalar {
        case "\"": bytes.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "\"")])
        case "\\": bytes.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "\\")])
        case "\n": bytes.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "n")])
        case "\r": bytes.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "r")])
        case "\t": bytes.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "t")])
        case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{2028}", "\u{2029}":
            bytes.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "u")])
            for shift in stride(from: 12, through: 0, by: -4) {
                bytes.append(hexDigits[Int(scalar.value >> UInt32(shift) & 0xF)])
            }
        default:
            bytes.append(contentsOf: UTF8.encode(scalar).map { Array($0) } ?? [UInt8(ascii: "?")])
        }
    }
}
