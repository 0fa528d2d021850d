// The process's tokenizers: each vocabulary is loaded when first asked for, once, whoever asks.

extension Tokenizer {
    /// The tokenizer of an encoding.
    ///
    /// The first call loads it, in some 15 ms; others wait for it. A load that failed is not tried again: an
    /// installation that lacks a file does not grow one.
    ///
    /// - Parameter encoding: which.
    /// - Returns: the process's one of that encoding.
    /// - Throws: why its file could not be loaded.
    public static func shared(_ encoding: EncodingName) throws(VocabularyError) -> Tokenizer {
        switch encoding {
        case .o200kBase: try o200k.get()
        case .cl100kBase: try cl100k.get()
        case .p50kBase: try p50k.get()
        case .r50kBase: try r50k.get()
        }
    }

    private static let o200k = load(.o200kBase)
    private static let cl100k = load(.cl100kBase)
    private static let p50k = load(.p50kBase)
    private static let r50k = load(.r50kBase)

    private static func load(_ encoding: EncodingName) -> Result<Tokenizer, VocabularyError> {
        Result { () throws(VocabularyError) in try load(encoding, folder: MappedFile.resourceFolder()) }
    }

    /// Loads an encoding from a folder of vocabularies, whether or not it is loaded already.
    static func load(_ encoding: EncodingName, folder: String) throws(VocabularyError) -> Tokenizer {
        let path = "\(folder)/\(encoding.name).vocabulary"
        let parts = try MappedFile.read(path, maxBytes: VocabularyParts.maxFileBytes) { file throws(VocabularyError) in
            try VocabularyParts(file, encoding: encoding)
        }
        return Tokenizer(encoding, Vocabulary(parts))
    }
}
