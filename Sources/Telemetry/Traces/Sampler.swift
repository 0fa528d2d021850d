// Which traces are recorded. Decided from the trace's id, so that every program that takes part decides alike.

/// OpenTelemetry's samplers.
public indirect enum Sampler: Sendable, Equatable {
    /// All.
    case alwaysOn
    /// None.
    case alwaysOff
    /// A share of all, 0...1, by the id.
    case ratio(Double)
    /// As whoever is before us decided; the trace that begins here as `root` says.
    case parentBased(root: Sampler)

    /// What applies when nobody says: one trace in a hundred, and what our callers record.
    public static let standard = Sampler.parentBased(root: .ratio(0.01))

    /// Reads OpenTelemetry's environment variables; nil for a sampler that there is not.
    ///
    /// - Parameters:
    ///   - name: `OTEL_TRACES_SAMPLER`; nil for the standard one.
    ///   - argument: `OTEL_TRACES_SAMPLER_ARG`, a share of 0...1; what is not one counts as 1, as the specification has it.
    public init?(name: String?, argument: String?) {
        let share = argument.map { Double($0).flatMap { (0...1).contains($0) ? $0 : nil } ?? 1 } ?? 1
        switch name {
        case nil where argument == nil, "" where argument == nil: self = .standard
        case nil, "": self = .parentBased(root: .ratio(share))
        case "always_on": self = .alwaysOn
        case "always_off": self = .alwaysOff
        case "traceidratio": self = .ratio(share)
        case "parentbased_always_on": self = .parentBased(root: .alwaysOn)
        case "parentbased_always_off": self = .parentBased(root: .alwaysOff)
        case "parentbased_traceidratio": self = .parentBased(root: .ratio(share))
        default: return nil
        }
    }

    /// Whether a trace is recorded.
    ///
    /// - Parameters:
    ///   - parent: the context that came with the request.
    ///   - traceID: the parent's, or a new one.
    /// - Returns: the decision, of every program that takes part the same.
    /// - Source: OpenTelemetry, "TraceIdRatioBased" by consistent probability: the last 56 bits of the id are random
    ///   (W3C Trace Context, level 2) and compared with a threshold.
    public func samples(parent: TraceContext?, traceID: TraceID) -> Bool {
        switch self {
        case .alwaysOn: return true
        case .alwaysOff: return false
        case .ratio(let share):
            let randomness = traceID.low & (1 << 56 - 1)
            // Above 2^53 figures are rounded, the highest to 2^56: none of them is to pass a share of 0.
            return share > 0 && Double(randomness) >= (1 - share) * Double(1 << 56)
        case .parentBased(let root):
            return parent?.isSampled ?? root.samples(parent: nil, traceID: traceID)
        }
    }
}
