// All that a node must be told to follow the control plane; what is wrong in it stops the program at start.

public import Secrets

/// How a node names itself and whom it follows.
public struct NodeConfiguration: Sendable {
    /// Names this node; stays the same over restarts.
    ///
    /// 1 to 64 of `A-Z a-z 0-9 . _ -`.
    public let nodeID: String
    /// Names this run of the node; another one after every start.
    public let bootID: String
    /// Where clients reach this node; shown by the control plane, never dialled.
    public let url: String
    /// Redis's host.
    public let redisHost: String
    /// Redis's port.
    public let redisPort: Int
    /// The control plane's base URL, `http` or `https`, without a trailing slash.
    public let controlURL: String
    /// Where the last-known-good snapshots are kept.
    public let dataDirectory: String
    /// The key that snapshots must be signed with.
    public let verifyingKey: VerifyingKey
    /// What this node shows the control plane.
    public let fleetToken: Redacted<String>
    /// The times and bounds; the defaults are what production uses.
    public var timing: NodeTiming
    /// The most usage records that wait for the control plane; half of them before they are numbered.
    public var usageCapacity = 65_536

    /// Makes a configuration; `NodeAgent.init` checks it.
    public init(
        nodeID: String,
        bootID: String = hex(SecureRandom.bytes(8)),
        url: String,
        redisHost: String,
        redisPort: Int,
        controlURL: String,
        dataDirectory: String,
        verifyingKey: VerifyingKey,
        fleetToken: Redacted<String>,
        timing: NodeTiming = NodeTiming()
    ) {
        self.nodeID = nodeID
        self.bootID = bootID
        self.url = url
        self.redisHost = redisHost
        self.redisPort = redisPort
        self.controlURL = controlURL
        self.dataDirectory = dataDirectory
        self.verifyingKey = verifyingKey
        self.fleetToken = fleetToken
        self.timing = timing
    }

    /// Refuses what would break a URL, a header or a log line.
    func validate() throws(NodeError) {
        let isName = { (byte: UInt8) in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"): true
            default: false
            }
        }
        guard (1...64).contains(nodeID.utf8.count), nodeID.utf8.allSatisfy(isName) else {
            throw NodeError(field: "nodeID", reason: "must be 1 to 64 of A-Z a-z 0-9 . _ -")
        }
        guard (1...64).contains(bootID.utf8.count), bootID.utf8.allSatisfy(isName) else {
            throw NodeError(field: "bootID", reason: "must be 1 to 64 of A-Z a-z 0-9 . _ -")
        }
        guard (1...65_535).contains(redisPort) else { throw NodeError(field: "redisPort", reason: "not a port") }
        guard controlURL.hasPrefix("http://") || controlURL.hasPrefix("https://"), !controlURL.hasSuffix("/"),
            controlURL.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else { throw NodeError(field: "controlURL", reason: "must be http(s)://host[:port] without a trailing slash") }
        guard fleetToken.reveal().utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), !fleetToken.reveal().isEmpty else {
            throw NodeError(field: "fleetToken", reason: "must be visible ASCII")
        }
        guard usageCapacity >= 2 else { throw NodeError(field: "usageCapacity", reason: "must be 2 or more") }
    }
}

/// The times a node lives by.
///
/// Tests shorten some; the figures are DESIGN §5 and §7.
public struct NodeTiming: Sendable {
    /// Between two reports to the control plane.
    public var reportInterval: Duration = .seconds(1)
    /// Without a message from Redis for this long, the node asks the control plane instead.
    public var heartbeatSilence: Duration = .seconds(3)
    /// A node that holds nothing waits this long for Redis before it asks the control plane as well.
    public var startGrace: Duration = .milliseconds(100)
    /// How long the control plane may hold a poll open, in whole seconds.
    public var pollSeconds = 25
    /// How often the control plane is asked although Redis speaks: it bounds what a lying Redis can hide.
    public var confirmInterval: Duration = .seconds(30)
    /// A message that led to nothing new earns this pause: forged ones cost one read of the head per second.
    public var futilePause: Duration = .seconds(1)
    /// Between two batches of usage while records come slowly.
    public var usageInterval: Duration = .milliseconds(200)
    /// The most records of one batch.
    public var usageBatchRecords = 500
    /// The first wait after a failure; doubled for each further one, and jittered.
    public var minBackoff: Duration = .milliseconds(100)
    /// After a held poll was cut off: nodes that lost their control plane at one moment come back spread over this.
    public var reconnectSpread: Duration = .seconds(1)
    /// The longest wait after a failure.
    public var maxBackoff: Duration = .seconds(5)

    /// The defaults.
    public init() {}
}

/// A configuration that cannot work, or a machine without a thread to give.
public struct NodeError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The field or the system call.
    public let field: String
    /// What is wrong with it.
    public let reason: String

    /// For the log.
    public var description: String { "\(field): \(reason)" }
}
