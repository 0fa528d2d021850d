// weir-control: flags and environment in, a running control plane out. Secrets come by environment only, because a
// command line is everybody's to read.

import ArgumentParser
import ControlPlane
private import Glibc
import Logging
import OTLP
import Secrets
import Telemetry

/// The control plane's program.
@main
struct WeirControl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weir-control",
        abstract: "Serves Weir's admin API and publishes snapshots to gateway nodes.",
        discussion: """
            Environment: WEIR_POSTGRES (libpq connection string), WEIR_ADMIN_TOKEN and WEIR_FLEET_TOKEN (16 bytes or \
            more), WEIR_SIGNING_KEY, WEIR_SEALING_KEY and WEIR_FLEET_KEY (32 bytes each, in hex).
            """
    )

    @Option(help: "Address and port to listen on.")
    var listen = "127.0.0.1:8080"

    @Option(help: "Address and port of Redis.")
    var redis = "127.0.0.1:6379"

    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    var logLevel: String?

    func run() async throws {
        Logs.bootstrap(level: try Logs.level(flag: logLevel))
        let logger = Logger(label: "weir.control")
        let telemetry = try ProgramTelemetry(program: "weir-control", instance: nil, logger: logger)
        let (host, port) = try Self.address(listen, option: "--listen")
        let (redisHost, redisPort) = try Self.address(redis, option: "--redis")
        let controlPlane = try ControlPlane(
            ControlPlaneConfiguration(
                host: host,
                port: port,
                postgres: Redacted(try Self.secret("WEIR_POSTGRES")),
                redisHost: redisHost,
                redisPort: redisPort,
                adminToken: Redacted(try Self.secret("WEIR_ADMIN_TOKEN")),
                fleetToken: Redacted(try Self.secret("WEIR_FLEET_TOKEN")),
                signingKey: try SigningKey(seed: try Self.key("WEIR_SIGNING_KEY")),
                sealingKey: try SealingKey(bytes: try Self.key("WEIR_SEALING_KEY")),
                fleetKey: Redacted(try Self.key("WEIR_FLEET_KEY"))
            ),
            telemetry: ControlTelemetry(
                registry: telemetry.registry,
                spans: telemetry.traces ? telemetry.spans : nil,
                sampler: telemetry.configuration.sampler,
                accessLogger: Logger(label: "weir.admin")
            ),
            logger: logger
        )
        try await controlPlane.run { port in
            logger.info("listening", metadata: ["host": "\(host)", "port": "\(port)"])
        }
        telemetry.stop()
    }

    private static func secret(_ name: String) throws -> String {
        guard let value = unsafe getenv(name) else { throw ValidationError("\(name) is not set in the environment") }
        let text = unsafe String(cString: value)
        guard !text.isEmpty else { throw ValidationError("\(name) is empty") }
        return text
    }

    private static func key(_ name: String) throws -> [UInt8] {
        guard let key = bytes(hex: try secret(name)), key.count == 32 else {
            throw ValidationError("\(name) must be 32 bytes in hex")
        }
        return key
    }

    private static func address(_ text: String, option: String) throws -> (String, Int) {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (0...65_535).contains(port), colon > text.startIndex
        else { throw ValidationError("\(option) must be HOST:PORT") }
        return (String(text[..<colon]), port)
    }
}
