// What a picture costs, by model: tiles of 512 pixels, patches of 32, or area. Integer arithmetic except where the
// published rule takes a square root.

/// Width and height in pixels.
struct PictureSize: Equatable {
    var width: Int
    var height: Int

    /// What is assumed of a picture that is only named by its address.
    static let assumed = PictureSize(width: 1_024, height: 1_024)
}

/// How a model prices pictures.
enum PictureRule: Sendable, Equatable {
    /// `base` for the whole and `tile` for each 512 × 512 of it; `base` alone for low detail.
    case tiles(base: Int, tile: Int)
    /// A hundredth of `percent` for each patch of 32 × 32.
    case patches(percent: Int)
    /// Anthropic: pixels ÷ 750.
    case area
    /// No rule is known: a typical picture's tokens.
    case unknown

    /// The first matching prefix counts.
    ///
    /// - Source: OpenAI's guide "Images and vision" (2026-11); gpt-4o, gpt-4.1, gpt-4.5, gpt-4-turbo, gpt-4o-mini and o3
    ///   agree with measurements in OpenAI's forum (threads 1262691, 1281361, 1377015). Not confirmed: gpt-5, o1.
    static let table: [(prefix: StaticString, rule: PictureRule)] = [
        ("gpt-4o-mini", .tiles(base: 2_833, tile: 5_667)),
        ("gpt-4.1-mini", .patches(percent: 162)), ("gpt-4.1-nano", .patches(percent: 246)),
        ("gpt-5-mini", .patches(percent: 162)), ("gpt-5-nano", .patches(percent: 246)),
        ("o4-mini", .patches(percent: 172)),
        ("gpt-4o", .tiles(base: 85, tile: 170)), ("chatgpt-4o", .tiles(base: 85, tile: 170)),
        ("gpt-4.1", .tiles(base: 85, tile: 170)), ("gpt-4.5", .tiles(base: 85, tile: 170)),
        ("gpt-4-", .tiles(base: 85, tile: 170)),
        ("gpt-5", .tiles(base: 70, tile: 140)), ("o1", .tiles(base: 75, tile: 150)),
        ("o3", .tiles(base: 75, tile: 150)), ("computer-use-", .tiles(base: 65, tile: 129)),
    ]

    /// Tokens of one picture of at least one pixel; low detail is what the client may ask for.
    func tokens(_ size: PictureSize, isLowDetail: Bool) -> Int {
        switch self {
        case .tiles(let base, let tile): isLowDetail ? base : base + tile * Self.tileCount(size)
        case .patches(let percent): (Self.patchCount(size) * percent + 99) / 100
        case .area: Self.areaTokens(size)
        case .unknown: TokenEstimate.perTypicalImage
        }
    }

    /// Scaled down into 2,048 × 2,048, then to 768 on the short side, each rounded to nearest; never up.
    private static func tileCount(_ size: PictureSize) -> Int {
        var width = size.width
        var height = size.height
        if max(width, height) > 2_048 {
            (width, height) = scaled(width, height, by: 2_048, over: max(width, height))
        }
        if min(width, height) > 768 {
            (width, height) = scaled(width, height, by: 768, over: min(width, height))
        }
        return ((width + 511) / 512) * ((height + 511) / 512)
    }

    private static func scaled(_ width: Int, _ height: Int, by factor: Int, over divisor: Int) -> (Int, Int) {
        let ratio = Double(factor) / Double(divisor)
        return (
            max(Int((Double(width) * ratio).rounded(.toNearestOrEven)), 1),
            max(Int((Double(height) * ratio).rounded(.toNearestOrEven)), 1)
        )
    }

    private static let maxPatches = 1_536

    private static func patchCount(_ size: PictureSize) -> Int {
        let patches = ((size.width + 31) / 32) * ((size.height + 31) / 32)
        guard patches > maxPatches else { return patches }
        let width = Double(size.width)
        let height = Double(size.height)
        var ratio = (Double(maxPatches * 1_024) / (width * height)).squareRoot()
        let across = width * ratio / 32
        let down = height * ratio / 32
        ratio *= min(across.rounded(.down) / across, down.rounded(.down) / down)
        return Int((width * ratio / 32).rounded(.up)) * Int((height * ratio / 32).rounded(.up))
    }

    /// - Source: Anthropic's page "Vision": the long edge is brought to 1,568 pixels, tokens are pixels ÷ 750.
    private static func areaTokens(_ size: PictureSize) -> Int {
        var width = size.width
        var height = size.height
        if max(width, height) > 1_568 {
            (width, height) = scaled(width, height, by: 1_568, over: max(width, height))
        }
        return min((width * height + 749) / 750, 4_784)
    }
}
