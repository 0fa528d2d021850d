// One run of one program, which cannot outlive us and whose pid cannot be mistaken for another's.
//
// Each child has a thread of ours that spawns it, waits for it and ends with it. That is not only simple: Linux
// sends a parent-death signal when the *thread* that forked ends, and the threads of Swift's pool come and go.
// The signal itself is set by setpriv(1), which also changes the user for PostgreSQL.

private import CLinux
private import Foundation
private import Glibc
private import Synchronization

/// A running child process, in a process group of its own; killed when this object goes.
public final class ChildProcess: Sendable {
    /// How a process ended.
    public enum ExitStatus: Equatable, Sendable, CustomStringConvertible {
        /// It returned this code.
        case code(Int32)
        /// This signal ended it.
        case signal(Int32)

        /// "exit code 1", "signal 9".
        public var description: String {
            switch self {
            case .code(let code): "exit code \(code)"
            case .signal(let signal): "signal \(signal)"
            }
        }
    }

    /// What was started.
    public let specification: ProcessSpecification
    /// Its process id, and the id of its process group.
    public let pid: Int32
    private let life: Life

    private init(_ specification: ProcessSpecification, pid: Int32, life: Life) {
        self.specification = specification
        self.pid = pid
        self.life = life
    }

    deinit { life.send(SIGKILL, toGroup: pid) }

    /// Starts a program.
    ///
    /// - Parameter specification: what to run.
    /// - Returns: the running process; it may still end at once, ``exitStatus`` tells.
    /// - Throws: `.system` when it could not be spawned, `.programMissing`.
    public static func start(_ specification: ProcessSpecification) async throws(StackError) -> ChildProcess {
        let command = try command(for: specification)
        let life = Life()
        let outcome: Result<Int32, StackError> = await withCheckedContinuation { continuation in
            let thread = Thread {
                let outcome = spawn(command, specification)
                if case .success(let pid) = outcome { life.begin(pid) }
                continuation.resume(returning: outcome)
                if case .success(let pid) = outcome { life.end(awaitExit(of: pid, life)) }
            }
            thread.name = specification.name
            thread.stackSize = 256 * 1024
            thread.start()
        }
        return ChildProcess(specification, pid: try outcome.get(), life: life)
    }

    /// How it ended, or nil while it runs.
    public var exitStatus: ExitStatus? { life.status }

    /// Waits for its end.
    ///
    /// - Returns: how it ended.
    public func exit() async -> ExitStatus { await life.exit() }

    /// Sends a signal to the process alone; nothing happens when it has ended.
    ///
    /// - Parameter signal: a signal's number.
    public func send(_ signal: Int32) { life.send(signal, to: pid) }

    /// Asks it to end, then makes it.
    ///
    /// - Parameter grace: how long it may take before SIGKILL.
    /// - Returns: how it ended.
    @discardableResult
    public func stop(grace: Duration = .seconds(10)) async -> ExitStatus {
        life.send(specification.stopSignal.number, to: pid)
        // A stopped process (SIGSTOP) gets its signal only when it goes on.
        life.send(SIGCONT, to: pid)
        let life = life
        if await wait(upTo: grace, until: { life.status != nil }) { return await exit() }
        life.send(SIGKILL, toGroup: pid)
        return await exit()
    }

    private static func command(for specification: ProcessSpecification) throws(StackError) -> [String] {
        let setpriv = try Program.find("setpriv", hint: "apt-get install util-linux")
        var command = [setpriv, "--pdeathsig", specification.deathSignal.rawValue]
        if let user = specification.user, getuid() == 0 {
            command += ["--reuid", user, "--regid", user, "--init-groups"]
        }
        return command + ["--", specification.executable] + specification.arguments
    }

    /// Runs on the child's thread.
    private static func spawn(
        _ command: [String],
        _ specification: ProcessSpecification
    ) -> Result<Int32, StackError> {
        var actions = unsafe posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        unsafe posix_spawn_file_actions_init(&actions)
        unsafe posix_spawnattr_init(&attributes)
        defer {
            unsafe posix_spawn_file_actions_destroy(&actions)
            unsafe posix_spawnattr_destroy(&attributes)
        }
        // Nothing of ours leaks in: no descriptor, no ignored or blocked signal, no terminal's process group.
        let append = O_WRONLY | O_CREAT | O_APPEND
        unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        unsafe posix_spawn_file_actions_addopen(&actions, 1, specification.logFile, append, 0o600)
        unsafe posix_spawn_file_actions_adddup2(&actions, 1, 2)
        unsafe posix_spawn_file_actions_addclosefrom_np(&actions, 3)
        unsafe posix_spawn_file_actions_addchdir_np(&actions, specification.workingDirectory)
        var signals = sigset_t()
        unsafe sigfillset(&signals)
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
        unsafe sigemptyset(&signals)
        unsafe posix_spawnattr_setsigmask(&attributes, &signals)
        unsafe posix_spawnattr_setpgroup(&attributes, 0)
        let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK
        unsafe posix_spawnattr_setflags(&attributes, Int16(flags))

        let environment = specification.wholeEnvironment.map { "\($0.key)=\($0.value)" }
        var pid: Int32 = 0
        // strdup'ed copies live until the spawn returned: the child has its own image by then.
        var arguments: [UnsafeMutablePointer<CChar>?] = unsafe command.map { unsafe strdup($0) } + [nil]
        var variables: [UnsafeMutablePointer<CChar>?] = unsafe environment.map { unsafe strdup($0) } + [nil]
        defer {
            unsafe release(arguments)
            unsafe release(variables)
        }
        let code = unsafe posix_spawn(&pid, command[0], &actions, &attributes, &arguments, &variables)
        guard code == 0 else {
            return .failure(.system(call: "posix_spawn", errno: code, about: specification.name))
        }
        return .success(pid)
    }

    private static func release(_ copies: [UnsafeMutablePointer<CChar>?]) {
        // By index: swift-format 6.3 breaks `for unsafe copy in …`.
        for index in unsafe copies.indices { unsafe free(copies[index]) }
    }

    /// Runs on the child's thread, for as long as the child does.
    private static func awaitExit(of pid: Int32, _ life: Life) -> ExitStatus {
        // WNOWAIT leaves a zombie that still holds the pid, so that what is left of its group can be killed and no
        // signal of ours ever meets a recycled pid: `reap` takes the same lock as `send`.
        var info = unsafe siginfo_t()
        while unsafe waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR {}
        kill(-pid, SIGKILL)
        return life.reap(pid)
    }
}

extension ProcessSpecification.StopSignal {
    var number: Int32 {
        switch self {
        case .terminate: SIGTERM
        case .interrupt: SIGINT
        case .kill: SIGKILL
        }
    }
}

/// Shared by the object and its thread: whether the pid is still ours to signal.
private final class Life: Sendable {
    private struct Fields {
        var isOurs = false
        var status: ChildProcess.ExitStatus?
        var waiters: [CheckedContinuation<ChildProcess.ExitStatus, Never>] = []
    }
    private let fields = Mutex(Fields())

    var status: ChildProcess.ExitStatus? { fields.withLock { $0.status } }

    func begin(_: Int32) { fields.withLock { $0.isOurs = true } }

    func end(_ status: ChildProcess.ExitStatus) {
        let waiters = fields.withLock { fields in
            fields.status = status
            defer { fields.waiters = [] }
            return fields.waiters
        }
        for waiter in waiters { waiter.resume(returning: status) }
    }

    func send(_ signal: Int32, to pid: Int32) {
        fields.withLock { fields in
            if fields.isOurs { _ = kill(pid, signal) }
        }
    }

    func send(_ signal: Int32, toGroup group: Int32) { send(signal, to: -group) }

    func reap(_ pid: Int32) -> ChildProcess.ExitStatus {
        fields.withLock { fields in
            var raw: Int32 = 0
            while unsafe waitpid(pid, &raw, 0) < 0 && errno == EINTR {}
            fields.isOurs = false
            // The C macros WIFSIGNALED and WEXITSTATUS, which Swift does not import.
            let signal = raw & 0x7f
            return signal == 0 ? .code((raw >> 8) & 0xff) : .signal(signal)
        }
    }

    func exit() async -> ChildProcess.ExitStatus {
        await withCheckedContinuation { continuation in
            let status = fields.withLock { fields in
                if fields.status == nil { fields.waiters.append(continuation) }
                return fields.status
            }
            if let status { continuation.resume(returning: status) }
        }
    }
}
