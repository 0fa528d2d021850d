// A redis-server of our own: on loopback, in its own directory, with no file left behind. Nothing is persisted on
// purpose: counters live for a window, and the control plane publishes the snapshot again when its head is gone.

private import Foundation

/// A private Redis on 127.0.0.1.
public final class PrivateRedis: Sendable {
    /// Where it listens.
    public let port: Int
    /// Its process; `process.stop()` and `process.start()` are legal at any time.
    public let process: SupervisedProcess

    /// Describes a server; nothing starts yet.
    ///
    /// - Parameters:
    ///   - directory: made when missing; the log is `redis.log` in it.
    ///   - port: where to listen.
    ///   - moreArguments: flags after our own; of one given twice the last counts.
    ///   - environment: what it finds besides the names every process gets.
    ///   - restarts: nil leaves a dead server dead.
    ///   - onEvent: told of deaths and restarts.
    /// - Throws: `.programMissing`, `.other`.
    public init(
        directory: String,
        port: Int,
        moreArguments: [String] = [],
        environment: [String: String] = [:],
        restarts: Restarts? = nil,
        onEvent: @escaping @Sendable (SupervisedProcess.Event) -> Void = { _ in }
    ) throws(StackError) {
        let executable = try Program.find("redis-server", hint: "apt-get install redis-server")
        try Directory.make(directory)
        self.port = port
        let specification = ProcessSpecification(
            name: "redis",
            executable: executable,
            arguments: [
                "--port", "\(port)", "--bind", "127.0.0.1", "--dir", directory, "--daemonize", "no",
                // An evicted counter would admit too much; an error makes the gateway fall back to its share.
                "--maxmemory", "512mb", "--maxmemory-policy", "noeviction",
                "--save", "", "--appendonly", "no",
            ] + moreArguments,
            environment: environment,
            workingDirectory: directory,
            logFile: "\(directory)/redis.log"
        )
        process = SupervisedProcess(
            specification,
            restarts: restarts,
            readyDeadline: .seconds(10),
            probe: { _ in await Self.answers(port: port) },
            onEvent: onEvent
        )
    }

    /// Starts one and waits until it answers.
    ///
    /// - Parameters:
    ///   - directory: made when missing.
    ///   - port: where to listen; nil claims a free one.
    /// - Returns: the running server; it dies with this object.
    /// - Throws: what made it fail.
    public static func start(directory: String, port: Int? = nil) async throws(StackError) -> PrivateRedis {
        let chosen = if let port { port } else { try FreePort.claim() }
        let redis = try PrivateRedis(directory: directory, port: chosen)
        try await redis.process.start()
        return redis
    }

    /// Stops it.
    public func stop() async { await process.stop() }

    private static func answers(port: Int) async -> Bool {
        do throws(StackError) {
            let answer = try await LoopbackConnection.exchange(port: port, sending: Array("PING\r\n".utf8), upTo: 7)
            return answer == Array("+PONG\r\n".utf8)
        } catch {
            return false  // not listening yet
        }
    }
}
