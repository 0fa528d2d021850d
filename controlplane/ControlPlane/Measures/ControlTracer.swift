// Traces of the control plane: a call, what was compiled because of it, and what was published. A change and its
// publication are apart in time and task; the version ties them together.

import Synchronization
import Telemetry

/// Makes spans; any task.
final class ControlTracer: Sendable {
    /// Changes whose publication may still come.
    private static let maxChanges = 64

    /// A call's place in its trace.
    struct Place: Sendable {
        let context: TraceContext
        let parent: SpanID?
    }

    /// What was changed in which trace.
    private struct TracedChange {
        let version: Int64
        let context: TraceContext
    }

    /// Where the task's work belongs; nil outside of calls, and when nobody wants traces.
    @TaskLocal static var current: TraceContext?

    private let spans: SpanQueue?
    private let sampler: Sampler
    private let changes = Mutex<[TracedChange]>([])

    init(_ telemetry: ControlTelemetry) {
        spans = telemetry.spans
        sampler = telemetry.sampler
    }

    /// Where a call stands: in its client's trace or in one of its own.
    func place(parent header: String?, state: String?) -> Place? {
        guard spans != nil else { return nil }
        var parent: TraceContext?
        if let header {
            if let state {
                parent = TraceContext(parent: header.utf8.span, state: state.utf8.span)
            } else {
                parent = TraceContext(parent: header.utf8.span)
            }
        }
        var random = SystemRandomNumberGenerator()
        let traceID = parent?.traceID ?? .random(using: &random)
        return Place(
            context: TraceContext(
                traceID: traceID,
                spanID: .random(using: &random),
                isSampled: sampler.samples(parent: parent, traceID: traceID),
                state: parent?.state ?? TraceState()
            ),
            parent: parent?.spanID
        )
    }

    /// Records a call that is over; one that failed whatever the sampler said, within bounds, and one whose caller is not
    /// known only within these.
    func record(
        _ place: Place,
        isTrusted: Bool,
        name: String,
        start: UInt64,
        attributes: [TraceSpan.Attribute],
        failure: String?
    ) {
        let end = UnixTime.nanoseconds
        guard let spans else { return }
        let isWanted = place.context.isSampled || failure != nil
        let isSampled = place.context.isSampled && isTrusted
        guard isWanted, isSampled || spans.admitsException(now: end) else { return }
        let context = TraceContext(
            traceID: place.context.traceID,
            spanID: place.context.spanID,
            isSampled: true,
            state: place.context.state
        )
        spans.offer([
            TraceSpan(
                name: name,
                kind: .server,
                context: context,
                parent: place.parent,
                start: start,
                end: end,
                attributes: attributes,
                status: failure.map { .error($0) } ?? .unset
            )
        ])
    }

    /// Remembers in which trace a version was made.
    func noteChange(_ version: Int64) {
        guard let context = Self.current, context.isSampled else { return }
        changes.withLock { changes in
            changes.append(TracedChange(version: version, context: context))
            if changes.count > Self.maxChanges { changes.removeFirst() }
        }
    }

    /// Records work for the versions that it made known: in the trace of the latest, linked to those of the others.
    func record(_ name: String, from: UInt64, to: UInt64, start: UInt64, attributes: [TraceSpan.Attribute]) {
        guard let spans else { return }
        let made = changes.withLock { changes in
            changes.filter { UInt64($0.version) > from && UInt64($0.version) <= to }
        }
        guard let latest = made.last else { return }
        var random = SystemRandomNumberGenerator()
        spans.offer([
            TraceSpan(
                name: name,
                kind: .internal,
                context: TraceContext(
                    traceID: latest.context.traceID,
                    spanID: .random(using: &random),
                    isSampled: true,
                    state: latest.context.state
                ),
                parent: latest.context.spanID,
                start: start,
                end: UnixTime.nanoseconds,
                attributes: attributes + [.init("weir.snapshot.version", .int(Int64(clamping: to)))],
                links: made.dropLast().map(\.context)
            )
        ])
    }
}
