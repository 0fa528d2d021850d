// The vocabularies that Weir carries, by the names that tiktoken gives them.

/// A byte-pair encoding.
public enum EncodingName: UInt8, Sendable, CaseIterable {
    /// GPT-4o and everything after it; `o200k_harmony` has the same ordinary tokens.
    case o200kBase = 0
    /// GPT-4, GPT-3.5 Turbo, and the embedding models.
    case cl100kBase = 1
    /// Codex and the later GPT-3 models; `p50k_edit` has the same ordinary tokens.
    case p50kBase = 2
    /// The first GPT-3 models.
    case r50kBase = 3

    /// The name in tiktoken, and of the resource file.
    public var name: StaticString {
        switch self {
        case .o200kBase: "o200k_base"
        case .cl100kBase: "cl100k_base"
        case .p50kBase: "p50k_base"
        case .r50kBase: "r50k_base"
        }
    }

    /// Finds an encoding by its name or by an alias of it.
    ///
    /// - Parameter name: as tiktoken spells it.
    public init?(name: Span<UInt8>) {
        if TextBytes.areEqual(name, "o200k_harmony") {
            self = .o200kBase
        } else if TextBytes.areEqual(name, "p50k_edit") {
            self = .p50kBase
        } else {
            for encoding in Self.allCases where TextBytes.areEqual(name, encoding.name) {
                self = encoding
                return
            }
            return nil
        }
    }
}
