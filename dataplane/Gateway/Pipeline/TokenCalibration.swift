// How far our count of a model's prompts is from what its provider bills, learned from every answer: other providers'
// tokenizers are not published, so their prompts are counted with one that is, times a factor that this keeps.

import Synchronization
import Telemetry
import Tokens

/// What was learned of one upstream model; shared by all workers of a node.
///
/// Factor and error are exponential averages, the last hundred or so prompts weighing most. Two workers that learn at
/// once may lose one of the two observations: an average does not mind.
final class TokenCalibration: Sendable {
    /// In millionths, so that an average of small steps arrives.
    private let factorMillionths: Atomic<Int>
    private let errorMillionths = Atomic<Int>(0)
    private let isEstimated: Bool

    /// One observation moves an average by this part of its distance.
    private static let smoothing = 64
    /// Beyond these a provider bills something that is no prompt.
    private static let factors = 500...3_000
    /// Shorter prompts are mostly framing, which the factor is not about.
    private static let minTokens = 64

    init(_ profile: ModelProfile) {
        factorMillionths = Atomic(profile.factorPermille * 1_000)
        isEstimated = profile.basis == .estimated
    }

    /// The model's tokens for each 1,000 that its encoding counts.
    var factor: Int { (factorMillionths.load(ordering: .relaxed) + 500) / 1_000 }

    /// How far counts were off, in thousandths of what was billed.
    var error: Int { (errorMillionths.load(ordering: .relaxed) + 500) / 1_000 }

    /// A profile with what was learned; one whose vocabulary is known stays as it is.
    func profile(_ profile: ModelProfile) -> ModelProfile {
        isEstimated ? profile.scaled(byPermille: factor) : profile
    }

    /// Learns from an answer.
    ///
    /// - Parameters:
    ///   - counted: tokens that we counted, by a factor.
    ///   - factor: that factor, in thousandths.
    ///   - billed: tokens that the provider says the prompt had, cached ones included.
    func learn(counted: Int, by factor: Int, billed: Int) {
        guard counted >= Self.minTokens, billed >= Self.minTokens, counted < 1 << 32, billed < 1 << 32 else { return }
        let off = min(abs(counted - billed) * 1_000_000 / billed, 10_000_000)
        Self.move(errorMillionths, to: off)
        guard isEstimated else { return }
        let seen = billed * factor / counted
        Self.move(factorMillionths, to: min(max(seen, Self.factors.lowerBound), Self.factors.upperBound) * 1_000)
    }

    private static func move(_ average: borrowing Atomic<Int>, to observed: Int) {
        let known = average.load(ordering: .relaxed)
        average.store(known + (observed - known) / smoothing, ordering: .relaxed)
    }
}

/// The node's calibrations by upstream model; outlives snapshots, so that a change elsewhere forgets nothing.
final class TokenCalibrations: Sendable {
    private let known = Mutex<[String: TokenCalibration]>([:])
    private let metrics: MetricRegistry

    /// Models are configuration, but a node that runs for years sees many; beyond this a model starts anew each time.
    private static let maxModels = 1_024

    init(_ metrics: MetricRegistry) { self.metrics = metrics }

    /// What is known of a model; not for the request path.
    func calibration(of model: String, _ profile: ModelProfile) -> TokenCalibration {
        let (calibration, isNew) = known.withLock { known in
            if let calibration = known[model] { return (calibration, false) }
            let calibration = TokenCalibration(profile)
            guard known.count < Self.maxModels else { return (calibration, false) }
            known[model] = calibration
            return (calibration, true)
        }
        if isNew {
            let labels = [MetricLabel("model", model)]
            metrics.observe(
                "weir.token.factor.permille",
                help: "a model's prompt tokens for each 1,000 counted with its encoding",
                labels: labels
            ) { Int64(calibration.factor) }
            metrics.observe(
                "weir.token.error.permille",
                help: "how far prompt counts are from what providers bill, in thousandths",
                labels: labels
            ) { Int64(calibration.error) }
        }
        return calibration
    }
}
