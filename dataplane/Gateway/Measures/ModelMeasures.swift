// What a worker measures of every model: OpenTelemetry's GenAI metrics, and tokens as they are billed. Labels come from
// the configuration; a cap stands behind that, since configurations come and go and a process's series do not.

import LLMWire
import Ledger
import Snapshot
import Telemetry

/// The words of OpenTelemetry's GenAI conventions.
struct GenAIConvention {
    /// `gen_ai.system` until version 1.36 of the conventions, `gen_ai.provider.name` since; the older one is what
    /// instrumentation that is there has to keep unless it is told otherwise.
    let provider: String

    init(followsLatest: Bool) { provider = followsLatest ? "gen_ai.provider.name" : "gen_ai.system" }

    /// The convention's name of a provider: a well-known one, or the admin's.
    static func name(of provider: EnforcedProvider) -> String {
        switch provider.kind {
        case .openAI: "openai"
        case .anthropic: "anthropic"
        case .openAICompatible: provider.name
        }
    }

    /// `gen_ai.operation.name`.
    static func operation(_ endpoint: Endpoint) -> String {
        switch endpoint {
        case .chatCompletions, .responses, .messages: "chat"
        case .completions: "text_completion"
        case .embeddings: "embeddings"
        }
    }
}

/// A worker's cells for models; confined to its loop.
final class ModelMeasures {
    /// Models and providers that get series of their own.
    static let maxLabels = 300

    private struct Key: Hashable {
        let provider: String
        let system: String
        let model: String
        let operation: String
    }

    private struct DurationKey: Hashable {
        let key: Key
        let error: String
    }

    private struct Cells {
        let inputTokens: Histogram
        let outputTokens: Histogram
        let firstToken: Histogram
        let perToken: Histogram
    }

    private struct Totals {
        let prompt: Counter
        let completion: Counter
        let total: Counter
    }

    private let registry: MetricRegistry
    private let convention: GenAIConvention
    private var models: WorkerLabels
    private var upstreamModels: WorkerLabels
    private var providers: WorkerLabels
    private var cells: [Key: Cells] = [:]
    private var durations: [DurationKey: Histogram] = [:]
    private var totals: [String: Totals] = [:]

    init(_ registry: MetricRegistry, convention: GenAIConvention, caps: ModelLabelCaps) {
        self.registry = registry
        self.convention = convention
        models = WorkerLabels(caps.models)
        upstreamModels = WorkerLabels(caps.upstreamModels)
        providers = WorkerLabels(caps.providers)
    }

    /// Counts a request that a provider was asked; `error` says why it failed, in few words, nil when it did not.
    func record(
        model: EnforcedModel?,
        route: EnforcedRoute,
        endpoint: Endpoint,
        isStream: Bool,
        times: UpstreamTimes,
        usage: TokenUsage,
        error: String?,
        exemplar: TraceContext?
    ) {
        let key = key(route, endpoint)
        let cells = cells(key)
        let attempt = times.last
        duration(key, error ?? "").record(attempt.duration, exemplar: exemplar)
        if let prompt = usage.prompt { cells.inputTokens.record(UInt64(max(prompt, 0))) }
        if let completion = usage.completion { cells.outputTokens.record(UInt64(max(completion, 0))) }
        if error == nil, isStream, attempt.firstToken > attempt.sent {
            cells.firstToken.record(attempt.firstToken - attempt.sent, exemplar: exemplar)
            if let completion = usage.completion, completion > 1, attempt.ended > attempt.firstToken {
                cells.perToken.record((attempt.ended - attempt.firstToken) / UInt64(completion - 1))
            }
        }
        guard let model else { return }
        let totals = totals(model)
        totals.prompt.add(UInt64(max(usage.prompt ?? 0, 0)))
        totals.completion.add(UInt64(max(usage.completion ?? 0, 0)))
        totals.total.add(UInt64(max(usage.total ?? 0, 0)))
    }

    private func totals(_ model: EnforcedModel) -> Totals {
        let label = models.label(for: model.nameBytes)
        if let cells = totals[label] { return cells }
        func counter(_ name: String, _ help: String) -> Counter {
            registry.counter(
                "weir.llm.\(name).tokens",
                unit: .count("{token}"),
                help: help,
                labels: [MetricLabel("model", label)]
            )
        }
        let cells = Totals(
            prompt: counter("prompt", "tokens of prompts, as billed or estimated"),
            completion: counter("completion", "tokens of answers, as billed or estimated"),
            total: counter("total", "tokens of prompts and answers")
        )
        totals[label] = cells
        return cells
    }

    private func key(_ route: EnforcedRoute, _ endpoint: Endpoint) -> Key {
        Key(
            provider: providers.label(for: route.provider.nameBytes),
            system: GenAIConvention.name(of: route.provider),
            model: upstreamModels.label(for: route.upstreamModel),
            operation: GenAIConvention.operation(endpoint)
        )
    }

    private func labels(_ key: Key) -> [MetricLabel] {
        [
            MetricLabel("gen_ai.operation.name", key.operation), MetricLabel(convention.provider, key.system),
            MetricLabel("gen_ai.request.model", key.model), MetricLabel("weir.provider", key.provider),
        ]
    }

    private func duration(_ key: Key, _ error: String) -> Histogram {
        let whole = DurationKey(key: key, error: error)
        if let cell = durations[whole] { return cell }
        let cell = registry.histogram(
            "gen_ai.client.operation.duration",
            unit: .nanoseconds,
            help: "of the attempt that was answered, or failed last",
            labels: labels(key) + (error.isEmpty ? [] : [MetricLabel("error.type", error)])
        )
        durations[whole] = cell
        return cell
    }

    private func cells(_ key: Key) -> Cells {
        if let cells = cells[key] { return cells }
        let common = labels(key)
        let made = Cells(
            inputTokens: tokens("input", common),
            outputTokens: tokens("output", common),
            firstToken: registry.histogram(
                "gen_ai.server.time_to_first_token",
                unit: .nanoseconds,
                help: "from the request sent to the first bytes of a streamed answer's body",
                labels: common
            ),
            perToken: registry.histogram(
                "gen_ai.server.time_per_output_token",
                unit: .nanoseconds,
                help: "of a streamed answer's tokens after the first, each",
                labels: common
            )
        )
        cells[key] = made
        return made
    }

    private func tokens(_ type: String, _ labels: [MetricLabel]) -> Histogram {
        registry.histogram(
            "gen_ai.client.token.usage",
            unit: .count("{token}"),
            help: "tokens of one request",
            labels: labels + [MetricLabel("gen_ai.token.type", type)]
        )
    }
}

/// Caps that a node's workers share, so that all of them keep the same labels.
struct ModelLabelCaps: Sendable {
    let models = LabelCap(max: ModelMeasures.maxLabels)
    let upstreamModels = LabelCap(max: ModelMeasures.maxLabels)
    let providers = LabelCap(max: ModelMeasures.maxLabels)
}

/// A worker's own copy of a cap's labels, so that a request takes no lock for them.
private struct WorkerLabels {
    private let cap: LabelCap
    private var known: [[UInt8]: String] = [:]

    init(_ cap: LabelCap) { self.cap = cap }

    mutating func label(for value: [UInt8]) -> String {
        if let label = known[value] { return label }
        let label = cap.label(for: value)
        // What has no label of its own may be any of very many names.
        if label != LabelCap.other { known[value] = label }
        return label
    }
}
