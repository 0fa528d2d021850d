// Everything a gateway node is told at start; nothing here changes while it runs.

import Reactor
public import Secrets

/// The bounds that protect a node from its clients and its providers.
public struct GatewayBounds: Sendable {
    /// Bytes of a request body when no policy says less.
    public var maxBodyBytes = 32 << 20
    /// Bytes of all header fields of one request.
    public var maxHeaderBytes = 32 << 10
    /// Header fields of one request.
    public var maxHeaderFields = 100
    /// Client connections per worker; those beyond are closed at once.
    public var maxConnections = 10_000
    /// From the first byte of a connection, or the end of the last answer, to a whole request head.
    public var headTimeout: Duration = .seconds(25)
    /// From the head to the last byte of the body, however the bytes trickle.
    public var bodyTimeout: Duration = .seconds(60)
    /// A client that takes no byte of its answer for this long is cut.
    public var writeTimeout: Duration = .seconds(60)
    /// Bytes of one answer that may wait for a slow client before the provider is paused.
    public var maxUnsentBytes = 256 << 10
    /// To a provider: TCP and TLS.
    public var connectTimeout: Duration = .seconds(3)
    /// From the request sent to the provider's first byte.
    public var firstByteTimeout: Duration = .seconds(300)
    /// Between two bytes of a provider's answer.
    public var idleTimeout: Duration = .seconds(60)
    /// From SIGTERM to the last cut stream.
    public var drainTimeout: Duration = .seconds(30)
    /// From SIGTERM to the closing of connections that stay idle: longer than clients that keep to ready nodes wait
    /// between two requests.
    public var drainIdleGrace: Duration = .seconds(1)
    /// From SIGTERM to closed listeners, so that balancers see `/readyz` fail first.
    public var drainDelay: Duration = .milliseconds(200)
    /// At the end of a drain, for usage that the control plane has not acknowledged yet.
    public var usageDrainTimeout: Duration = .seconds(3)
    /// One Redis command; a request waits no longer for its limits.
    public var redisDeadline: Duration = .milliseconds(10)

    /// The defaults.
    public init() {}
}

/// A gateway node's configuration.
public struct GatewayConfiguration: Sendable {
    /// The address to listen on, and its port; port 0 picks a free one.
    public var host: String
    /// The port to listen on, 0...65,535.
    public var port: Int
    /// Event loop and Reactor pairs; one per core.
    public var workers: Int
    /// Redis's host.
    public var redisHost: String
    /// Redis's port.
    public var redisPort: Int
    /// The control plane's base URL, without a trailing slash.
    public var controlURL: String
    /// Where last-known-good snapshots are kept.
    public var dataDirectory: String
    /// Names this node to the control plane; stays the same over restarts.
    public var nodeID: String
    /// The key that snapshots must be signed with.
    public var verifyingKey: VerifyingKey
    /// Opens provider credentials in snapshots.
    public var fleetKey: SealingKey
    /// What this node shows the control plane.
    public var fleetToken: Redacted<String>
    /// PEM files of the certificate chain and its key; plain HTTP without them.
    public var tlsFiles: (certificate: String, key: String)?
    /// The bounds that protect the node.
    public var bounds = GatewayBounds()

    /// Makes a configuration.
    public init(
        host: String,
        port: Int,
        workers: Int,
        redisHost: String,
        redisPort: Int,
        controlURL: String,
        dataDirectory: String,
        nodeID: String,
        verifyingKey: VerifyingKey,
        fleetKey: SealingKey,
        fleetToken: Redacted<String>
    ) {
        self.host = host
        self.port = port
        self.workers = workers
        self.redisHost = redisHost
        self.redisPort = redisPort
        self.controlURL = controlURL
        self.dataDirectory = dataDirectory
        self.nodeID = nodeID
        self.verifyingKey = verifyingKey
        self.fleetKey = fleetKey
        self.fleetToken = fleetToken
    }

    /// One worker for each core that the process may use.
    public static var defaultWorkers: Int { Cores.usable }

    /// What the node's agent is told.
    var node: NodeConfiguration {
        NodeConfiguration(
            nodeID: nodeID,
            url: "\(tlsFiles == nil ? "http" : "https")://\(host):\(port)",
            redisHost: redisHost,
            redisPort: redisPort,
            controlURL: controlURL,
            dataDirectory: dataDirectory,
            verifyingKey: verifyingKey,
            fleetToken: fleetToken
        )
    }
}
