// How many tokens a request's prompt has, for the rules that ask: counted when the first one does, once for all of them,
// and not at all where the body's size already answers.

public import LLMWire
public import Tokens

/// What counts prompts on one event loop; keeps its buffers from request to request.
public final class PromptMeter {
    private var counter = PromptCounter()

    /// Who wants to know how long counting takes.
    public struct Stopwatch {
        /// Reads a clock, in nanoseconds.
        let clock: () -> UInt64
        /// Hears how long a count took, in nanoseconds.
        let report: (UInt64) -> Void

        /// Makes one of both.
        public init(clock: @escaping () -> UInt64, report: @escaping (UInt64) -> Void) {
            self.clock = clock
            self.report = report
        }
    }

    /// Times every count; nil for nobody.
    public var stopwatch: Stopwatch?

    /// Makes a meter.
    public init() {}

    /// Counts a body that the scan found right.
    ///
    /// - Returns: nil when the model's vocabulary is not installed.
    fileprivate func count(
        _ body: Span<UInt8>,
        _ endpoint: Endpoint,
        _ model: ModelProfile,
        stoppingAfter limit: Int
    ) -> PromptCount? {
        let start = stopwatch?.clock() ?? 0
        defer { if let stopwatch { stopwatch.report(stopwatch.clock() &- start) } }
        do {
            let tokenizer = try Tokenizer.shared(model.encoding)
            return try counter.count(
                body,
                endpoint: endpoint,
                model: model,
                with: tokenizer,
                stoppingAfter: limit
            )
        } catch {
            // Told at the start, when vocabularies are loaded; sizes have to do.
            return nil
        }
    }
}

/// A request's prompt, in tokens; confined to the request's event loop.
public final class PromptTokens {
    private let meter: PromptMeter?
    private let body: [UInt8]
    private let endpoint: Endpoint
    private let profile: ModelProfile
    private let parsed: ParsedRequest?
    private var counted: Int?

    /// A whole count that was made: what usage is compared with.
    public private(set) var count: PromptCount?

    /// The factor that counts contain, in thousandths; 1,000 where the encoding is the model's own.
    public var factorPermille: Int { profile.factorPermille }

    /// Bytes of text that are counted; a million tokens of prose, more than models take.
    ///
    /// Counting holds the event loop, some 80 ms for so much: a larger prompt is taken for the most that it can be.
    static let maxCountedBytes = 4 << 20

    /// Of a limit less than this part, a reservation's looseness is not worth counting for.
    private static let negligiblePart = 1_024

    /// The prompt of a request.
    ///
    /// - Parameters:
    ///   - parsed: what the scan found.
    ///   - body: the body that was scanned.
    ///   - profile: how the model's prompts are counted, with what was learned of it.
    ///   - meter: the loop's.
    public init(_ parsed: ParsedRequest, body: [UInt8], profile: ModelProfile, meter: PromptMeter) {
        self.parsed = parsed
        self.body = body
        endpoint = parsed.endpoint
        self.profile = profile
        self.meter = meter
    }

    /// A prompt of a known size.
    public init(known tokens: Int) {
        parsed = nil
        body = []
        endpoint = .chatCompletions
        let noName: [UInt8] = []
        profile = ModelTable.profile(noName.span)
        meter = nil
        counted = tokens
    }

    /// The prompt's tokens: exact where the model's vocabulary and formula are published, else an estimate.
    ///
    /// The first call counts, at some 50 MB/s.
    public var tokens: Int {
        if let counted { return counted }
        let tokens = measure(stoppingAfter: .max)?.tokens ?? (isTooLarge ? most ?? likely : likely)
        counted = tokens
        return tokens
    }

    /// Whether there are more tokens than a limit.
    ///
    /// Costs a comparison where the prompt's bytes are no more than the limit; otherwise counts, at most to the limit.
    ///
    /// - Parameter limit: not negative.
    /// - Returns: the number when it is over the limit (or some number that is), else nil.
    public func excess(over limit: Int) -> Int? {
        if let counted { return counted > limit ? counted : nil }
        if let most, most <= limit { return nil }
        guard let measured = measure(stoppingAfter: limit) else { return tokens > limit ? tokens : nil }
        guard measured.tokens <= limit else { return measured.tokens }
        counted = measured.tokens
        return nil
    }

    /// What to reserve of a window for the prompt: its tokens, or the most they can be where that is next to nothing.
    ///
    /// - Parameter limit: the window's.
    /// - Returns: tokens, not fewer than the prompt has where its count is exact.
    public func reservation(of limit: Int64) -> Int {
        if counted == nil, let most, Int64(most) <= limit / Int64(Self.negligiblePart) { return most }
        return tokens
    }

    private func measure(stoppingAfter limit: Int) -> PromptCount? {
        guard let meter, !isTooLarge else { return nil }
        let body = body
        let measured = meter.count(body.span, endpoint, profile, stoppingAfter: limit)
        if let measured, !measured.isOverLimit { count = measured }
        return measured
    }

    private var isTooLarge: Bool { (parsed?.promptBytes ?? 0) > Self.maxCountedBytes }

    /// The most tokens that the prompt can be, known from sizes alone; nil where a picture could be more.
    private var most: Int? {
        guard let parsed, !parsed.hasImages else { return nil }
        let bound = TokenEstimate.upperBound(
            promptBytes: parsed.promptBytes,
            messageCount: parsed.messageCount,
            hasTools: parsed.hasTools
        )
        let (scaled, overflows) = bound.multipliedReportingOverflow(by: max(profile.factorPermille, 1_000))
        return overflows ? nil : scaled / 1_000 + 1
    }

    private var likely: Int {
        guard let parsed else { return 0 }
        return TokenEstimate.likelyPrompt(
            promptBytes: parsed.promptBytes,
            messageCount: parsed.messageCount,
            imageCount: parsed.imageCount
        )
    }
}
