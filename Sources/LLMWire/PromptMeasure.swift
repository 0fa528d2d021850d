// How much text a request puts before the model, at most: what the provider could see if it wrote every value out as
// JSON. Picture data is the exception, since it is not read as text and would drown the rest.

/// Sums the text of the values it is shown.
struct PromptMeasure: JSONVisitor {
    /// Decoded text, punctuation and scalars; `,` and `:` count 2, since a renderer may put a blank after them.
    private(set) var bytes = 0
    /// Pictures announced by a part's type or member.
    private var announcedImages = 0
    /// Picture data taken out of `bytes`.
    private var discountedImages = 0
    private var depth = 0
    /// What the last key means for the string after it.
    private var role = Role.none
    /// One bit per level: its object says that it is a picture, or that its `data` is one.
    private var imageObjects: UInt64 = 0
    private var imageMedia: UInt64 = 0
    /// The last `data` string, and the level it stands on.
    private var pendingBytes = 0
    private var pendingDepth = -1

    private enum Role {
        case none
        case type
        case mediaType
        case data
        case url
    }

    /// Pictures, however they are told.
    var imageCount: Int { max(announcedImages, discountedImages) }

    /// Adds text that is known to be text.
    mutating func add(_ count: Int) {
        bytes += count
    }

    @inline(__always)
    private var level: UInt64 { 1 &<< UInt64(truncatingIfNeeded: depth) }

    @inline(__always)
    mutating func visit(key: JSONString, in text: Span<UInt8>) {
        bytes += key.decodedCount + 4
        role = .none
        switch key.decodedCount {
        case 3 where key.equals("url", in: text): role = .url
        case 4 where key.equals("type", in: text): role = .type
        case 4 where key.equals("data", in: text): role = .data
        case 9 where key.equals("image_url", in: text):
            role = .url
            imageObjects |= level
        case 10 where key.equals("media_type", in: text): role = .mediaType
        default: break
        }
    }

    @inline(__always)
    mutating func visit(string: JSONString, in text: Span<UInt8>) {
        bytes += string.decodedCount + 2
        if role != .none { note(string, in: text) }
        role = .none
    }

    private mutating func note(_ string: JSONString, in text: Span<UInt8>) {
        switch role {
        case .none:
            break
        case .type:
            if string.equals("image_url", in: text) || string.equals("image", in: text)
                || string.equals("input_image", in: text)
            {
                imageObjects |= level
            }
        case .mediaType:
            if string.count >= 6, JSONBytes.begins(text, at: string.start, with: "image/") { imageMedia |= level }
        case .data:
            pendingBytes = string.decodedCount
            pendingDepth = depth
        case .url:
            if string.count >= 11, JSONBytes.begins(text, at: string.start, with: "data:image/") {
                bytes -= string.decodedCount
                discountedImages += 1
            }
        }
    }

    /// A token id stands for itself: counting its digits would only be a larger bound.
    @inline(__always)
    mutating func visit(scalarCount: Int, isNumber: Bool) {
        bytes += scalarCount
        role = .none
    }

    @inline(__always)
    mutating func open(isObject: Bool) {
        bytes += 1
        role = .none
        depth += 1
        imageObjects &= ~level
        imageMedia &= ~level
    }

    @inline(__always)
    mutating func close(isObject: Bool) {
        bytes += 1
        if isObject, (imageObjects | imageMedia) & level != 0 { closePicture() }
        if pendingDepth == depth { pendingDepth = -1 }
        depth -= 1
    }

    private mutating func closePicture() {
        if imageObjects & level != 0 { announcedImages += 1 }
        if imageMedia & level != 0, pendingDepth == depth {
            bytes -= pendingBytes
            discountedImages += 1
        }
    }

    @inline(__always)
    mutating func separate() {
        bytes += 2
        role = .none
    }
}
