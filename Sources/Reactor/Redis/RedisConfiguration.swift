// Where a Redis is and how long and how much we take from it: its answers are not trusted to be small or to come.

/// Settings of one connection to Redis.
public struct RedisConfiguration: Sendable {
    /// A name or an address.
    public var host: String
    /// The TCP port.
    public var port: Int
    /// The path of a Unix socket, in place of host and port.
    public var unixSocket: String?
    /// The user of an access control list; nil is the default user.
    public var username: String?
    /// Sent once per connection, before anything else.
    public var password: String?
    /// The database to select.
    public var database: Int
    /// How long the oldest command may wait for its answer, from when it was written to the socket.
    public var commandDeadline: Duration
    /// From the first packet to the first answer.
    public var connectDeadline: Duration
    /// Elements in all arrays of one reply together.
    public var maxReplyElements: Int
    /// Bytes of one string in a reply, and of all strings of one reply.
    public var maxReplyBytes: Int
    /// Commands that may wait for their answers.
    public var maxPendingCommands: Int
    /// Pause before the first attempt to connect again; it doubles, with jitter, up to `maxBackoff`.
    public var minBackoff: Duration
    /// The longest pause between attempts.
    public var maxBackoff: Duration

    /// Makes settings; the counters' connection sets the reply bounds to 16 elements and 1 MiB.
    public init(
        host: String = "127.0.0.1",
        port: Int = 6379,
        unixSocket: String? = nil,
        username: String? = nil,
        password: String? = nil,
        database: Int = 0,
        commandDeadline: Duration = .milliseconds(10),
        connectDeadline: Duration = .seconds(1),
        maxReplyElements: Int = 4096,
        maxReplyBytes: Int = 64 << 20,
        maxPendingCommands: Int = 16_384,
        minBackoff: Duration = .milliseconds(10),
        maxBackoff: Duration = .seconds(1)
    ) {
        self.host = host
        self.port = port
        self.unixSocket = unixSocket
        self.username = username
        self.password = password
        self.database = database
        self.commandDeadline = commandDeadline
        self.connectDeadline = connectDeadline
        self.maxReplyElements = maxReplyElements
        self.maxReplyBytes = maxReplyBytes
        self.maxPendingCommands = maxPendingCommands
        self.minBackoff = minBackoff
        self.maxBackoff = maxBackoff
    }
}
