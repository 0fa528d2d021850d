// How much text a request puts before the model, at most: what the provider could see if it wrote every value out as
// JSON. Picture data is the exception, since it is not read as text and would drown the rest; it is taken out only where
// the APIs document a picture, because anything else that looks like one is text to the model.

/// Sums the text of the values it is shown.
struct PromptMeasure: JSONVisitor {
    /// Decoded text, punctuation and scalars.
    ///
    /// A `,` or `:` counts 2, since a renderer may put a blank after it.
    private(set) var bytes = 0
    /// Whether the value is part of a message, where pictures may stand.
    var isInMessage = false

    /// What the last key means for the value after it.
    private enum Role {
        case none
        case type
        case mediaType
        case data
        case url
        case imageURL
        case source
        case toolInput
    }

    /// One bit per level, for what an object is.
    private struct Levels {
        /// It says that it is a picture.
        var picture: UInt64 = 0
        /// It stands under `image_url` (OpenAI) or `source` (Anthropic).
        var imageURL: UInt64 = 0
        var source: UInt64 = 0
        /// Its media type is a picture's, or something else's; with both it is no picture.
        var imageMedia: UInt64 = 0
        var otherMedia: UInt64 = 0

        mutating func clear(_ level: UInt64) {
            picture &= ~level
            imageURL &= ~level
            source &= ~level
            imageMedia &= ~level
            otherMedia &= ~level
        }
    }

    private var levels = Levels()
    private var depth = 0
    private var role = Role.none
    /// The level of the tool input around, whose members are the model's own words; 0 for none.
    private var toolInputDepth = 0
    /// Pictures told by a part's type or member, and pictures whose data was taken out.
    private var announcedImages = 0
    private var discountedImages = 0
    /// The last `data` string, and the level it stands on.
    private var pendingBytes = 0
    private var pendingDepth = -1

    /// Pictures, however they are told.
    var imageCount: Int { max(announcedImages, discountedImages) }

    /// Adds text that is known to be text.
    mutating func add(_ count: Int) {
        bytes += count
    }

    /// Depth stays under `JSONReader.maxDepth`, so a level is a bit.
    @inline(__always)
    private var level: UInt64 { 1 &<< UInt64(truncatingIfNeeded: depth) }

    @inline(__always)
    private var mayBePicture: Bool { isInMessage && toolInputDepth == 0 }

    @inline(__always)
    mutating func visit(key: JSONString, in text: Span<UInt8>) {
        bytes += key.decodedCount + 4
        role = .none
        guard mayBePicture else { return }
        switch key.decodedCount {
        case 3 where key.equals("url", in: text): role = .url
        case 4 where key.equals("type", in: text): role = .type
        case 4 where key.equals("data", in: text): role = .data
        case 5 where key.equals("input", in: text): role = .toolInput
        case 6 where key.equals("source", in: text): role = .source
        case 9 where key.equals("image_url", in: text):
            role = .imageURL
            levels.picture |= level
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
        case .none, .source, .toolInput:
            break
        case .type:
            if string.equals("image_url", in: text) || string.equals("image", in: text)
                || string.equals("input_image", in: text)
            {
                levels.picture |= level
            }
        case .mediaType:
            if string.count >= 6, JSONBytes.begins(text, at: string.start, with: "image/") {
                levels.imageMedia |= level
            } else {
                levels.otherMedia |= level
            }
        case .data:
            pendingBytes = string.decodedCount
            pendingDepth = depth
        case .url where levels.imageURL & level != 0, .imageURL:
            if string.count >= 11, JSONBytes.begins(text, at: string.start, with: "data:image/") {
                bytes -= string.decodedCount
                discountedImages += 1
            }
        case .url:
            break
        }
    }

    @inline(__always)
    mutating func visit(scalarCount: Int, isNumber: Bool) {
        bytes += scalarCount
        role = .none
    }

    @inline(__always)
    mutating func open(isObject: Bool) {
        bytes += 1
        depth += 1
        guard mayBePicture else { return }
        levels.clear(level)
        switch role {
        case .imageURL: levels.imageURL |= level
        case .source: levels.source |= level
        case .toolInput: toolInputDepth = depth
        default: break
        }
        role = .none
    }

    @inline(__always)
    mutating func close(isObject: Bool) {
        bytes += 1
        if isObject, mayBePicture { closeObject() }
        if toolInputDepth == depth { toolInputDepth = 0 }
        if pendingDepth == depth { pendingDepth = -1 }
        depth -= 1
    }

    @inline(__always)
    private mutating func closeObject() {
        if levels.picture & level != 0 { announcedImages += 1 }
        if levels.imageMedia & levels.source & ~levels.otherMedia & level != 0, pendingDepth == depth {
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
