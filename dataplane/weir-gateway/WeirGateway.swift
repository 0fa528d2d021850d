// The data plane's program: reads its flags and secrets, runs a node, drains it at SIGTERM.

import ArgumentParser
import Gateway
import Glibc
import Logging
import OTLP
import Secrets
import Telemetry

@main
struct WeirGateway: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weir-gateway",
        abstract: "Runs a gateway node.",
        discussion: """
            Secrets come by the environment only: WEIR_VERIFYING_KEY (hex, Ed25519), WEIR_FLEET_KEY (hex, 32 bytes) and \
            WEIR_FLEET_TOKEN. WEIR_LOG_LEVEL sets the level of the log on standard error; OpenTelemetry's variables \
            (OTEL_EXPORTER_OTLP_ENDPOINT and others, docs/telemetry.md) say where metrics and traces go.
            """
    )

    @Option(help: "Address and port to listen on.")
    var listen = "127.0.0.1:8080"

    @Option(help: "Redis's host and port.")
    var redis = "127.0.0.1:6379"

    @Option(help: "The control plane's base URL.")
    var control = "http://127.0.0.1:8070"

    @Option(help: "Where last-known-good snapshots are kept.")
    var data: String

    @Option(help: "This node's name; the same over restarts.")
    var nodeID: String

    @Option(help: "Event loops; one per core by default.")
    var workers: Int?

    @Option(help: "PEM file of the certificate chain; with it the node speaks TLS.")
    var tlsCert: String?

    @Option(help: "PEM file of the certificate's key.")
    var tlsKey: String?

    @Option(help: "Seconds that requests in flight have to end after SIGTERM.")
    var drainTimeout = 30

    @Option(help: "Seconds that a provider has to begin its answer.")
    var firstByteTimeout = 300

    @Option(help: "Seconds that a provider may be silent within its answer.")
    var idleTimeout = 60

    @Option(help: "Milliseconds that Redis has for a limit before the node falls back to its share.")
    var redisDeadline = 10

    @Option(help: "The least level that is logged; WEIR_LOG_LEVEL otherwise.")
    var logLevel: String?

    func validate() throws {
        _ = try HostPort(listen, flag: "--listen")
        _ = try HostPort(redis, flag: "--redis")
        guard (workers ?? 1) > 0 else { throw ValidationError("--workers: at least 1") }
        guard (tlsCert == nil) == (tlsKey == nil) else { throw ValidationError("--tls-cert and --tls-key go together") }
        guard drainTimeout >= 0, firstByteTimeout > 0, idleTimeout > 0, redisDeadline > 0 else {
            throw ValidationError("time-outs are positive")
        }
    }

    func run() throws {
        // Blocked before the first thread starts, so that only `sigwait` below ever takes them.
        let signals = ShutdownSignals()
        Logs.bootstrap(level: try Logs.level(flag: logLevel))
        let logger = Logger(label: "weir-gateway")
        let telemetry = try ProgramTelemetry(program: "weir-gateway", instance: nodeID, logger: logger)
        let server = try GatewayServer(
            try makeConfiguration(),
            telemetry: GatewayTelemetry(
                registry: telemetry.registry,
                isOn: telemetry.measures,
                spans: telemetry.traces ? telemetry.spans : nil,
                sampler: telemetry.configuration.sampler,
                followsLatestGenAI: telemetry.configuration.conventions.contains("gen_ai_latest_experimental"),
                accessLogger: Logger(label: "weir.access")
            ),
            logger: logger
        )
        logger.info("listening", metadata: ["port": "\(server.port)", "node": "\(nodeID)"])
        signals.wait()
        try server.stop()
        // Last, so that the drain is in it.
        telemetry.stop()
    }

    private func makeConfiguration() throws -> GatewayConfiguration {
        let listen = try HostPort(listen, flag: "--listen")
        let redis = try HostPort(redis, flag: "--redis")
        var configuration = GatewayConfiguration(
            host: listen.host,
            port: listen.port,
            workers: workers ?? GatewayConfiguration.defaultWorkers,
            redisHost: redis.host,
            redisPort: redis.port,
            controlURL: control.hasSuffix("/") ? String(control.dropLast()) : control,
            dataDirectory: data,
            nodeID: nodeID,
            verifyingKey: try VerifyingKey(bytes: try secretBytes("WEIR_VERIFYING_KEY")),
            fleetKey: try SealingKey(bytes: try secretBytes("WEIR_FLEET_KEY")),
            fleetToken: Redacted(try secret("WEIR_FLEET_TOKEN"))
        )
        if let tlsCert, let tlsKey { configuration.tlsFiles = (tlsCert, tlsKey) }
        configuration.bounds.drainTimeout = .seconds(drainTimeout)
        configuration.bounds.firstByteTimeout = .seconds(firstByteTimeout)
        configuration.bounds.idleTimeout = .seconds(idleTimeout)
        configuration.bounds.redisDeadline = .milliseconds(redisDeadline)
        return configuration
    }

    private func secret(_ name: String) throws -> String {
        guard let text = unsafe getenv(name) else { throw ValidationError("\(name) is not set") }
        return unsafe String(cString: text)
    }

    private func secretBytes(_ name: String) throws -> [UInt8] {
        guard let bytes = Secrets.bytes(hex: try secret(name)) else { throw ValidationError("\(name) is not hex") }
        return bytes
    }
}

/// `HOST:PORT` as flags have it.
struct HostPort {
    let host: String
    let port: Int

    init(_ text: String, flag: String) throws {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (0...65_535).contains(port), colon > text.startIndex
        else { throw ValidationError("\(flag): HOST:PORT, not '\(text)'") }
        host = String(text[..<colon])
        self.port = port
    }
}

/// SIGTERM and SIGINT as something to wait for.
struct ShutdownSignals {
    private var set = sigset_t()

    init() {
        unsafe sigemptyset(&set)
        unsafe sigaddset(&set, SIGTERM)
        unsafe sigaddset(&set, SIGINT)
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
        // A client that leaves must be an error at its write, not the end of the node.
        _ = signal(SIGPIPE, SIG_IGN)
    }

    func wait() {
        var set = set
        var received: Int32 = 0
        while unsafe sigwait(&set, &received) != 0 {}
    }
}
