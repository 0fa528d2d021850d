// How a pool reaches its server and how long it waits for what: no wait in this module is without a bound.

/// The settings of a ``PostgresPool``.
public struct PostgresConfiguration: Sendable {
    /// What libpq calls a connection string: `host=… dbname=…` or `postgresql://…`; it may hold a password.
    ///
    /// A host name is resolved by libpq, which blocks the pool's thread meanwhile; an address or a socket does not.
    public var conninfo: String
    /// Connections at most, those of ``PostgresPool/listen(_:)`` (one for all channels) not counted; at least 1.
    public var maxConnections: Int
    /// From opening a socket to being logged in.
    public var connectTimeout: Duration
    /// Waiting for a connection of the pool to be free.
    public var acquireTimeout: Duration
    /// One statement, from sending it to its last row; the server enforces it too, a little earlier.
    public var statementTimeout: Duration
    /// One ``PostgresPool/runScript(_:)``, such as a migration.
    public var scriptTimeout: Duration

    /// Told of every statement's end: how long it took, in nanoseconds, and how it failed; on the pool's thread.
    public var onStatement: (@Sendable (_ nanoseconds: UInt64, _ failure: PostgresError.Kind?) -> Void)?

    /// Settings with the pool's usual bounds.
    public init(
        conninfo: String,
        maxConnections: Int = 8,
        connectTimeout: Duration = .seconds(2),
        acquireTimeout: Duration = .seconds(2),
        statementTimeout: Duration = .seconds(5),
        scriptTimeout: Duration = .seconds(600)
    ) {
        self.conninfo = conninfo
        self.maxConnections = maxConnections
        self.connectTimeout = connectTimeout
        self.acquireTimeout = acquireTimeout
        self.statementTimeout = statementTimeout
        self.scriptTimeout = scriptTimeout
    }
}

extension PostgresConfiguration: CustomStringConvertible, CustomReflectable {
    /// Everything but the connection string, which may hold a password.
    public var description: String {
        """
        PostgresConfiguration(conninfo: [redacted], maxConnections: \(maxConnections), \
        connectTimeout: \(connectTimeout), acquireTimeout: \(acquireTimeout), statementTimeout: \(statementTimeout))
        """
    }

    /// Without children, for the same reason.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
