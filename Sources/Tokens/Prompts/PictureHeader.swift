// How large a picture is, from the first bytes of its file, which stand as base64 in the body: nothing is decoded that is
// not looked at, and a file that hides its size costs a bounded search.

internal import LLMWire

extension PromptReader {
    /// Adds a picture: `image_url` (a string, or an object with `url` and `detail`) or Anthropic's `source`.
    mutating func picture(at start: Int, detail: Int, _ body: Span<UInt8>) throws(ScanError) {
        isExact = false
        var detail = detail
        var url = try Self.string(at: start, body)
        if url == nil {
            let inner = try Self.member("detail", at: start, body)
            if inner > 0 { detail = inner }
            url = try Self.string(at: try Self.member("url", at: start, body), body)
        }
        var size: PictureSize?
        if let url {
            if let base64 = Self.base64Start(of: url, body) {
                size = PictureHeader(body, from: base64, to: url.end).size
            }
        } else if let data = try Self.string(at: try Self.member("data", at: start, body), body) {
            size = PictureHeader(body, from: data.start, to: data.end).size
        }
        let isLowDetail = try Self.string(at: detail, body)?.equals("low", in: body) ?? false
        pictureTokens += model.pictures.tokens(size ?? .assumed, isLowDetail: isLowDetail)
    }

    /// After `data:image/…;base64,`.
    private static func base64Start(of url: JSONString, _ body: Span<UInt8>) -> Int? {
        guard JSONBytes.begins(body, at: url.start, with: "data:") else { return nil }
        for index in url.start..<min(url.start + 64, url.end) where body[index] == UInt8(ascii: ",") {
            return index + 1
        }
        return nil
    }
}

/// A picture file, read byte by byte out of base64.
struct PictureHeader {
    /// JPEG files may have a profile and a thumbnail before their size.
    static let maxSegments = 256

    private(set) var size: PictureSize?
    private let start: Int
    private let count: Int

    /// Reads the size of a PNG, GIF, JPEG or WebP file.
    ///
    /// - Parameters:
    ///   - body: where the base64 text is; `\/` for `/` is not expected in it.
    ///   - start: its first character.
    ///   - end: after its last.
    init(_ body: Span<UInt8>, from start: Int, to end: Int) {
        self.start = start
        count = (end - start) / 4 * 3
        if is4(body, 0, 0x8950_4e47) {
            size = Self.size(big(body, 16, 4), big(body, 20, 4))
        } else if is4(body, 0, 0x4749_4638) {
            size = Self.size(little(body, 6, 2), little(body, 8, 2))
        } else if is4(body, 0, 0x5249_4646), is4(body, 8, 0x5745_4250) {
            size = webP(body)
        } else if byte(body, 0) == 0xff, byte(body, 1) == 0xd8 {
            size = jpeg(body)
        }
    }

    /// A size that a provider would take; nothing larger is believed.
    private static func size(_ width: Int, _ height: Int) -> PictureSize? {
        guard (1...1_000_000).contains(width), (1...1_000_000).contains(height) else { return nil }
        return PictureSize(width: width, height: height)
    }

    private func webP(_ body: Span<UInt8>) -> PictureSize? {
        if is4(body, 12, 0x5650_3858) {
            return Self.size(little(body, 24, 3) + 1, little(body, 27, 3) + 1)
        }
        if is4(body, 12, 0x5650_384c) {
            let bits = little(body, 21, 4)
            return Self.size(bits & 0x3fff + 1, (bits >> 14) & 0x3fff + 1)
        }
        guard is4(body, 12, 0x5650_3820) else { return nil }
        return Self.size(little(body, 26, 2) & 0x3fff, little(body, 28, 2) & 0x3fff)
    }

    /// The first frame header (SOF), past all segments before it.
    private func jpeg(_ body: Span<UInt8>) -> PictureSize? {
        var offset = 2
        for _ in 0..<Self.maxSegments {
            guard offset + 9 <= count, byte(body, offset) == 0xff else { return nil }
            let marker = byte(body, offset + 1)
            let isFrame = (0xc0...0xcf).contains(marker) && marker != 0xc4 && marker != 0xc8 && marker != 0xcc
            if isFrame { return Self.size(big(body, offset + 7, 2), big(body, offset + 5, 2)) }
            offset += marker == 0xff ? 1 : 2 + max(big(body, offset + 2, 2), 2)
        }
        return nil
    }

    // MARK: Bytes out of base64

    private func byte(_ body: Span<UInt8>, _ offset: Int) -> Int {
        guard offset < count else { return -1 }
        let place = start + offset / 3 * 4 + offset % 3
        let high = Self.sextet(body[place])
        let low = Self.sextet(body[place + 1])
        guard high >= 0, low >= 0 else { return -1 }
        switch offset % 3 {
        case 0: return high << 2 | low >> 4
        case 1: return (high & 15) << 4 | low >> 2
        default: return (high & 3) << 6 | low
        }
    }

    private static func sextet(_ byte: UInt8) -> Int {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): Int(byte) - 65
        case UInt8(ascii: "a")...UInt8(ascii: "z"): Int(byte) - 71
        case UInt8(ascii: "0")...UInt8(ascii: "9"): Int(byte) + 4
        case UInt8(ascii: "+"), UInt8(ascii: "-"): 62
        case UInt8(ascii: "/"), UInt8(ascii: "_"): 63
        default: -1
        }
    }

    /// A number of some bytes, the first the highest; -1 if one of them is not there.
    private func big(_ body: Span<UInt8>, _ offset: Int, _ bytes: Int) -> Int {
        var value = 0
        for index in offset..<(offset + bytes) {
            let byte = byte(body, index)
            guard byte >= 0 else { return -1 }
            value = value << 8 | byte
        }
        return value
    }

    /// The same, the first the lowest.
    private func little(_ body: Span<UInt8>, _ offset: Int, _ bytes: Int) -> Int {
        var value = 0
        for index in 0..<bytes {
            let byte = byte(body, offset + index)
            guard byte >= 0 else { return -1 }
            value |= byte << (8 * index)
        }
        return value
    }

    private func is4(_ body: Span<UInt8>, _ offset: Int, _ magic: Int) -> Bool { big(body, offset, 4) == magic }
}
