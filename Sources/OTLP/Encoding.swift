// From our figures and spans to OTLP's messages.

private import FoundationEssentials
internal import OTLPMessages
internal import SwiftProtobuf
internal import Telemetry

private typealias AnyValue = Opentelemetry_Proto_Common_V1_AnyValue
private typealias KeyValue = Opentelemetry_Proto_Common_V1_KeyValue
private typealias ExponentialHistogramPoint = Opentelemetry_Proto_Metrics_V1_ExponentialHistogramDataPoint
private typealias NumberPoint = Opentelemetry_Proto_Metrics_V1_NumberDataPoint

/// Makes the bodies of export requests; knows what is the same in all of them.
struct Encoding {
    private let resource: Opentelemetry_Proto_Resource_V1_Resource
    private let scope: Opentelemetry_Proto_Common_V1_InstrumentationScope
    /// Since when counters count, since the Unix epoch.
    private let startedAt: UInt64

    init(resource attributes: [(name: String, value: String)], startedAt: UInt64) {
        resource = .with { $0.attributes = attributes.map { attribute($0.name, typed($0.name, $0.value)) } }
        scope = .with { $0.name = "weir" }
        self.startedAt = startedAt
    }

    // MARK: Spans

    func spans(_ spans: [TraceSpan]) throws -> [UInt8] {
        let request = Opentelemetry_Proto_Collector_Trace_V1_ExportTraceServiceRequest.with { request in
            request.resourceSpans = [
                .with {
                    $0.resource = resource
                    $0.scopeSpans = [
                        .with {
                            $0.scope = scope
                            $0.spans = spans.map(message)
                        }
                    ]
                }
            ]
        }
        return try request.serializedBytes()
    }

    private func message(_ span: TraceSpan) -> Opentelemetry_Proto_Trace_V1_Span {
        .with {
            $0.traceID = Data(span.context.traceID.bytes)
            $0.spanID = Data(span.context.spanID.bytes)
            $0.traceState = span.context.state.text
            if let parent = span.parent { $0.parentSpanID = Data(parent.bytes) }
            // The lowest byte is W3C's flags.
            $0.flags = span.context.isSampled ? 1 : 0
            $0.name = span.name
            $0.kind = Opentelemetry_Proto_Trace_V1_Span.SpanKind(rawValue: span.kind.rawValue) ?? .unspecified
            $0.startTimeUnixNano = span.start
            $0.endTimeUnixNano = span.end
            $0.attributes = span.attributes.map { attribute($0.name, $0.value) }
            $0.droppedAttributesCount = UInt32(span.droppedAttributes)
            $0.events = span.events.map { event in
                .with {
                    $0.name = event.name
                    $0.timeUnixNano = event.unixNanoseconds
                    $0.attributes = event.attributes.map { attribute($0.name, $0.value) }
                }
            }
            $0.droppedEventsCount = UInt32(span.droppedEvents)
            $0.links = span.links.map { link in
                .with {
                    $0.traceID = Data(link.traceID.bytes)
                    $0.spanID = Data(link.spanID.bytes)
                    $0.traceState = link.state.text
                }
            }
            switch span.status {
            case .unset: break
            case .ok: $0.status.code = .ok
            case .error(let text):
                $0.status.code = .error
                $0.status.message = text
            }
        }
    }

    // MARK: Metrics

    func metrics(_ families: [MetricFamily], at now: UInt64) throws -> [UInt8] {
        let request = Opentelemetry_Proto_Collector_Metrics_V1_ExportMetricsServiceRequest.with { request in
            request.resourceMetrics = [
                .with {
                    $0.resource = resource
                    $0.scopeMetrics = [
                        .with {
                            $0.scope = scope
                            $0.metrics = families.map { message($0, at: now) }
                        }
                    ]
                }
            ]
        }
        return try request.serializedBytes()
    }

    private func message(_ family: MetricFamily, at now: UInt64) -> Opentelemetry_Proto_Metrics_V1_Metric {
        .with {
            $0.name = family.name
            $0.unit = family.unit.symbol
            $0.description_p = family.help
            switch family.kind {
            case .counter:
                $0.sum.isMonotonic = true
                $0.sum.aggregationTemporality = .cumulative
                $0.sum.dataPoints = family.series.map { number($0, family.unit, at: now) }
            case .upDownCounter:
                $0.sum.isMonotonic = false
                $0.sum.aggregationTemporality = .cumulative
                $0.sum.dataPoints = family.series.map { number($0, family.unit, at: now) }
            case .gauge:
                $0.gauge.dataPoints = family.series.map { number($0, family.unit, at: now) }
            case .histogram:
                $0.exponentialHistogram.aggregationTemporality = .cumulative
                $0.exponentialHistogram.dataPoints = family.series.compactMap { histogram($0, family.unit, at: now) }
            }
        }
    }

    private func number(_ series: MetricFamily.Series, _ unit: MetricUnit, at now: UInt64) -> NumberPoint {
        .with {
            $0.attributes = series.labels.map { attribute($0.name, typed($0.name, $0.value)) }
            $0.startTimeUnixNano = startedAt
            $0.timeUnixNano = now
            let figure: Int64
            switch series.value {
            case .counter(let count): figure = Int64(clamping: count)
            case .gauge(let level): figure = level
            case .histogram: return
            }
            if unit.scale == 1 { $0.asInt = figure } else { $0.asDouble = Double(figure) * unit.scale }
        }
    }

    private func histogram(
        _ series: MetricFamily.Series,
        _ unit: MetricUnit,
        at now: UInt64
    ) -> ExponentialHistogramPoint? {
        guard case .histogram(let spread) = series.value else { return nil }
        return .with {
            $0.attributes = series.labels.map { attribute($0.name, typed($0.name, $0.value)) }
            $0.startTimeUnixNano = startedAt
            $0.timeUnixNano = now
            $0.scale = ExponentialBuckets.scale
            $0.count = spread.count
            $0.zeroCount = spread.zeros
            $0.sum = Double(spread.sum) * unit.scale
            if let range = spread.range {
                $0.min = Double(range.lowerBound) * unit.scale
                $0.max = Double(range.upperBound) * unit.scale
            }
            let (offset, counts) = spread.filled
            $0.positive.offset = offset
            $0.positive.bucketCounts = Array(counts)
            $0.exemplars = spread.examples.map { example in
                .with {
                    $0.timeUnixNano = example.unixNanoseconds
                    $0.asDouble = Double(example.value) * unit.scale
                    $0.traceID = Data(example.context.traceID.bytes)
                    $0.spanID = Data(example.context.spanID.bytes)
                }
            }
        }
    }
}

/// Labels and the resource are texts with us; the semantic conventions have some of them as numbers, as spans do.
private func typed(_ name: String, _ value: String) -> TraceSpan.Value {
    switch name {
    case "http.response.status_code", "process.pid": Int64(value).map { .int($0) } ?? .string(value)
    default: .string(value)
    }
}

private func attribute(_ name: String, _ value: TraceSpan.Value) -> KeyValue {
    .with {
        $0.key = name
        switch value {
        case .string(let text): $0.value.stringValue = text
        case .int(let number): $0.value.intValue = number
        case .double(let number): $0.value.doubleValue = number
        case .bool(let flag): $0.value.boolValue = flag
        case .strings(let texts):
            $0.value.arrayValue.values = texts.map { text in AnyValue.with { $0.stringValue = text } }
        }
    }
}
