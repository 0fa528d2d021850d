// A collector for tests, which understands telemetry as OpenTelemetry's own code does: in Python, in the environment
// that ./test makes.

private import Foundation
public import Stack

/// A running collector.
public final class OTLPReceiver: Sendable {
    /// What to give as `OTEL_EXPORTER_OTLP_ENDPOINT`.
    public let url: String
    private let output: String
    private let process: SupervisedProcess

    /// The Python that ./test gives OpenTelemetry's messages and Prometheus's parsers.
    public static var python: String {
        URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent(".build/venv/bin/python")
            .path
    }

    /// Starts a collector.
    ///
    /// - Parameters:
    ///   - directory: where it writes.
    ///   - answers: what it says to one request after another; 200 after the last. See receiver.py.
    ///   - certificate: PEM files with which it speaks TLS.
    /// - Returns: the collector; it listens.
    /// - Throws: when it does not come up, as without ./test's Python.
    public static func start(
        directory: String,
        answers: JSONValue = [],
        certificate: (file: String, key: String)? = nil
    ) async throws -> OTLPReceiver {
        let port = try FreePort.claim()
        let output = "\(directory)/otlp-\(port).jsonl"
        let script = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
            .appendingPathComponent("receiver.py").path
        let tls = certificate.map { ["--certificate", $0.file, "--key", $0.key] } ?? []
        let specification = ProcessSpecification(
            name: "OTLP receiver",
            executable: python,
            arguments: [
                script, "--port", "\(port)", "--output", output,
                "--answers", String(decoding: answers.bytes, as: UTF8.self),
            ] + tls,
            environment: ["PYTHONDONTWRITEBYTECODE": "1"],
            logFile: "\(directory)/otlp-\(port).log"
        )
        let process = SupervisedProcess(
            specification,
            probe: { _ in
                // TLS is not the probe's to speak: that the port is taken is enough.
                if certificate != nil { return !FreePort.isFree(port) }
                do throws(StackError) {
                    return try await LoopbackClient.send(LoopbackRequest("GET", "http://127.0.0.1:\(port)/")).status
                        == 200
                } catch {
                    return false  // not listening yet
                }
            }
        )
        try await process.start()
        let scheme = certificate == nil ? "http" : "https"
        return OTLPReceiver(url: "\(scheme)://localhost:\(port)", output: output, process: process)
    }

    private init(url: String, output: String, process: SupervisedProcess) {
        self.url = url
        self.output = output
        self.process = process
    }

    /// Ends it.
    public func stop() async { await process.stop(grace: .seconds(1)) }

    /// All that arrived, as it was written: for searches.
    public var text: String { ([output] + metricFiles).map(Self.contents).joined(separator: "\n") }

    private var metricFiles: [String] {
        let (directory, name) = ((output as NSString).deletingLastPathComponent, (output as NSString).lastPathComponent)
        let files = FileManager.default.enumerator(atPath: directory)?.compactMap { $0 as? String } ?? []
        return files.filter { $0.hasPrefix(name + ".") && !$0.hasSuffix(".new") }.map { "\(directory)/\($0)" }
    }

    private static func contents(_ path: String) -> String {
        String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    }

    /// The requests that arrived, the newest last: `path`, `headers`, `status` (what was answered), and of spans `message`.
    public func requests() throws -> [JSONValue] {
        try Self.contents(output).split(separator: "\n").map { try JSONValue(parsing: Array($0.utf8)) }
    }

    /// All spans that arrived and were taken.
    public func spans() throws -> [JSONValue] {
        try taken("resource_spans").flatMap { $0["scope_spans"]?.elements ?? [] }.flatMap {
            $0["spans"]?.elements ?? []
        }
    }

    /// The metrics of the last export of each process that was taken.
    public func metrics() throws -> [JSONValue] {
        try resources().flatMap { $0["scope_metrics"]?.elements ?? [] }.flatMap { $0["metrics"]?.elements ?? [] }
    }

    /// The same with the processes that they are of.
    public func resources() throws -> [JSONValue] {
        try metricFiles.map { try JSONValue(parsing: Array(Self.contents($0).utf8)) }
    }

    private func taken(_ name: String) throws -> [JSONValue] {
        try requests().filter { $0["status"]?.int == 200 }.flatMap { $0["message"]?[name]?.elements ?? [] }
    }
}
