// How a model's prompts are counted: with which vocabulary, by how much its own tokenizer differs from that, and what
// its chat format and its pictures cost.

/// What is known of a model's tokens.
public struct ModelProfile: Sendable, Equatable {
    /// How far a count can be trusted.
    public enum Basis: UInt8, Sendable {
        /// tiktoken knows the model by this name.
        case known = 0
        /// An OpenAI model that tiktoken does not know, taken for one of the newest.
        case assumed = 1
        /// Another tokenizer, estimated by a factor.
        case estimated = 2
    }

    /// The vocabulary to count with.
    public var encoding: EncodingName
    /// How the encoding was found.
    public var basis: Basis
    /// The model's tokens for each 1,000 of the encoding's; 1,000 unless `basis` is `.estimated`.
    public var factorPermille: Int
    /// What surrounds a message and a name.
    var framing: ChatFraming
    /// What a picture costs.
    var pictures: PictureRule

    init(
        _ encoding: EncodingName,
        _ basis: Basis,
        factorPermille: Int = 1_000,
        framing: ChatFraming = .current,
        pictures: PictureRule = .unknown
    ) {
        self.encoding = encoding
        self.basis = basis
        self.factorPermille = factorPermille
        self.framing = framing
        self.pictures = pictures
    }

    /// The same model by another vocabulary: what an operator's override makes of it.
    ///
    /// - Parameter encoding: the operator's word, which is believed.
    /// - Returns: an exact profile with this model's framing and pictures.
    public func counted(with encoding: EncodingName) -> ModelProfile {
        var profile = self
        profile.encoding = encoding
        profile.basis = .known
        profile.factorPermille = 1_000
        return profile
    }

    /// The same model with another factor: what was learned from its usage.
    ///
    /// - Parameter permille: its tokens for each 1,000 of the encoding's, held to 500...3,000.
    /// - Returns: an estimate.
    public func scaled(byPermille permille: Int) -> ModelProfile {
        var profile = self
        profile.basis = .estimated
        profile.factorPermille = min(max(permille, 500), 3_000)
        return profile
    }

    /// Applies the factor, rounding up.
    func scale(_ tokens: Int) -> Int {
        guard factorPermille != 1_000 else { return tokens }
        let (product, overflows) = tokens.multipliedReportingOverflow(by: factorPermille)
        return overflows ? Int.max : product / 1_000 + (product % 1_000 == 0 ? 0 : 1)
    }
}
