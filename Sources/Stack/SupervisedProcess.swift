// A server that is started, waited for until it answers, restarted when it dies and stopped in order.

/// Keeps one server running.
public actor SupervisedProcess {
    /// Tells whether the server answers; asked every few milliseconds while it starts.
    public typealias Probe = @Sendable (ChildProcess) async -> Bool

    /// What happens to a server after its first start.
    public enum Event: Sendable {
        /// It ended without being asked; the next start is after this pause.
        case died(status: String, restartIn: Duration)
        /// It answers again, under a new pid.
        case restarted(pid: Int32)
        /// A restart did not succeed; the next follows.
        case restartFailed(reason: String)
    }

    /// What is run.
    public nonisolated let specification: ProcessSpecification
    private let readyDeadline: Duration
    private let probe: Probe
    private let onEvent: @Sendable (Event) -> Void
    private var restarts: Restarts?
    private var child: ChildProcess?
    private var keeper: Task<Void, Never>?
    private var isStopping = false

    /// Describes a server; nothing starts yet.
    ///
    /// - Parameters:
    ///   - specification: what to run.
    ///   - restarts: nil leaves a dead server dead, as tests of failures want it.
    ///   - readyDeadline: how long a start may take.
    ///   - probe: tells whether it answers.
    ///   - onEvent: called for every death and restart.
    public init(
        _ specification: ProcessSpecification,
        restarts: Restarts? = nil,
        readyDeadline: Duration = .seconds(30),
        probe: @escaping Probe,
        onEvent: @escaping @Sendable (Event) -> Void = { _ in }
    ) {
        self.specification = specification
        self.restarts = restarts
        self.readyDeadline = readyDeadline
        self.probe = probe
        self.onEvent = onEvent
    }

    /// The running process; nil before the start and while it is down.
    public var process: ChildProcess? { child?.exitStatus == nil ? child : nil }

    /// The running process's id, or 0 while it is down.
    public var pid: Int32 { process?.pid ?? 0 }

    /// Starts it and waits until it answers; legal again after it died or was stopped.
    ///
    /// - Throws: `.exitedEarly` or `.notReady` with the end of its log.
    public func start() async throws(StackError) {
        await stop()
        isStopping = false
        let first = try await launch()
        if restarts != nil { keeper = Task { await keep(first) } }
    }

    /// Stops it, and its restarts.
    ///
    /// - Parameter grace: how long it may take before SIGKILL.
    public func stop(grace: Duration = .seconds(10)) async {
        isStopping = true
        await child?.stop(grace: grace)
        await keeper?.value
        keeper = nil
        child = nil
    }

    private func launch() async throws(StackError) -> ChildProcess {
        let child = try await ChildProcess.start(specification)
        self.child = child
        let end = ContinuousClock.now + readyDeadline
        while child.exitStatus == nil {
            if await probe(child) { return child }
            if ContinuousClock.now >= end || isStopping {
                await child.stop(grace: .seconds(1))
                let seconds = Int(readyDeadline.components.seconds)
                throw .notReady(name: specification.name, seconds: seconds, logTail: specification.logTail)
            }
            await pause(for: .milliseconds(10))
        }
        let status = await child.exit()
        throw .exitedEarly(name: specification.name, status: "\(status)", logTail: specification.logTail)
    }

    /// Runs as a task of its own until the server is stopped.
    private func keep(_ first: ChildProcess) async {
        var current: ChildProcess? = first
        var readySince = ContinuousClock.now
        while true {
            let status = await current?.exit()
            if isStopping { return }
            let delay = restarts?.died(after: current == nil ? .zero : ContinuousClock.now - readySince) ?? .zero
            if let status { onEvent(.died(status: "\(status)", restartIn: delay)) }
            let end = ContinuousClock.now + delay
            while ContinuousClock.now < end && !isStopping { await pause(for: .milliseconds(20)) }
            if isStopping { return }
            do throws(StackError) {
                let next = try await launch()
                readySince = ContinuousClock.now
                current = next
                onEvent(.restarted(pid: next.pid))
            } catch {
                current = nil
                if !isStopping { onEvent(.restartFailed(reason: "\(error)")) }
            }
        }
    }
}
