// What weir-control must be told. Secrets are typed so that no log prints them.

public import Secrets

/// Where a control plane listens, what it talks to and with which keys.
public struct ControlPlaneConfiguration: Sendable {
    /// The address to listen on; loopback unless told otherwise.
    public var host: String
    /// The port to listen on; 0 for any free one.
    public var port: Int
    /// libpq's connection string.
    public var postgres: Redacted<String>
    /// Where Redis is.
    public var redisHost: String
    /// Where Redis is.
    public var redisPort: Int
    /// The admin API's bearer token, at least 16 bytes.
    public var adminToken: Redacted<String>
    /// The nodes' bearer token, at least 16 bytes.
    public var fleetToken: Redacted<String>
    /// Signs snapshots.
    public var signingKey: SigningKey
    /// Seals what is stored in PostgreSQL: 32 bytes.
    public var sealingKey: SealingKey
    /// Seals credentials in snapshots: 32 bytes, shared with the nodes.
    public var fleetKey: Redacted<[UInt8]>

    /// Makes a configuration; ``ControlPlane/init(_:registry:logger:)`` checks it.
    public init(
        host: String = "127.0.0.1",
        port: Int,
        postgres: Redacted<String>,
        redisHost: String,
        redisPort: Int,
        adminToken: Redacted<String>,
        fleetToken: Redacted<String>,
        signingKey: SigningKey,
        sealingKey: SealingKey,
        fleetKey: Redacted<[UInt8]>
    ) {
        self.host = host
        self.port = port
        self.postgres = postgres
        self.redisHost = redisHost
        self.redisPort = redisPort
        self.adminToken = adminToken
        self.fleetToken = fleetToken
        self.signingKey = signingKey
        self.sealingKey = sealingKey
        self.fleetKey = fleetKey
    }
}

/// What is wrong with a configuration; the text names the setting, never its value.
public struct ConfigurationError: Error, CustomStringConvertible {
    /// The setting and what it must be.
    public let description: String

    /// Makes an error.
    public init(_ description: String) {
        self.description = description
    }
}
