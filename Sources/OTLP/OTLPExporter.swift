// Sends spans and metrics to a collector from a thread of its own. Nobody waits for it: what finds no room is dropped
// and counted, and a collector that is gone, hung or wrong costs this thread's time and a bounded queue.

private import Glibc
public import Logging
internal import Reactor
internal import Synchronization
public import Telemetry

/// The exporter of a process.
public final class OTLPExporter: Sendable {
    private enum Command: Sendable {
        case flush
        case end
    }

    private let thread: ReactorHandle
    private let commands: Mailbox<Command>
    private let progress: Progress

    private final class Progress: Sendable {
        let isFlushed = Atomic(false)
    }

    /// Starts to export.
    ///
    /// - Parameters:
    ///   - configuration: where to; without a destination the exporter does nothing.
    ///   - registry: the metrics, and where the exporter's own are.
    ///   - spans: finished spans.
    ///   - logger: told when a collector stops or starts answering.
    /// - Throws: when the machine has no thread to give.
    public init(
        _ configuration: OTLPConfiguration,
        registry: MetricRegistry,
        spans: SpanQueue,
        logger: Logger
    ) throws {
        let progress = Progress()
        self.progress = progress
        let made = Mutex<Mailbox<Command>?>(nil)
        thread = try ReactorHandle.start(name: "weir-otlp") { reactor in
            let state = ExporterState(
                configuration,
                reactor: reactor,
                registry: registry,
                spans: spans,
                logger: logger
            )
            let mailbox = reactor.makeMailbox(capacity: 4) { (command: Command) in
                switch command {
                case .flush: state.flush { progress.isFlushed.store(true, ordering: .releasing) }
                case .end: state.end()
                }
            }
            made.withLock { $0 = mailbox }
        }
        guard let commands = made.withLock({ $0 }) else { preconditionFailure("made by the set-up") }
        self.commands = commands
    }

    /// Sends what there is and ends.
    ///
    /// - Parameter deadline: the longest that this takes; what is not sent by then is lost.
    public func stop(deadline: Duration = .milliseconds(500)) {
        let end = MonotonicTime.now + deadline
        _ = commands.send(.flush)
        while !progress.isFlushed.load(ordering: .acquiring), MonotonicTime.now < end { Self.pause() }
        _ = commands.send(.end)
        thread.stop()
    }

    private static func pause() {
        var request = timespec(tv_sec: 0, tv_nsec: 2_000_000)
        unsafe nanosleep(&request, nil)  // a signal may cut it short, which only looks again sooner
    }
}
