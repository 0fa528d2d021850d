// Steady traffic from keep-alive connections: each sends a request at its turn of the clock, whatever the others meet,
// so that an outage shows as failures and waits rather than as silence.

import NIOCore
import NIOPosix
import Synchronization

/// Who sends requests, and how often.
struct LoadShape: Sendable {
    /// An app in whose name requests are sent.
    struct Client: Sendable {
        var app: String
        var key: String
        /// Requests a second over all nodes.
        var rate: Int
        /// nil: half of them are streams.
        var isStream: Bool?
        var model = "load"
        var connectionsPerNode = 3
    }

    var clients: [Client]
    /// Ports of the nodes.
    var nodes: [Int]
}

/// Traffic that runs until it is stopped.
final class Load: Sendable {
    private let clients: [LoadClient]
    private let begin: ContinuousClock.Instant
    private let hiccups = HiccupMeter()

    /// Starts it.
    static func start(_ shape: LoadShape) async throws -> Load {
        let begin = ContinuousClock.now
        var clients: [LoadClient] = []
        for client in shape.clients {
            let count = client.connectionsPerNode * shape.nodes.count
            let interval = Duration.seconds(1) * count / client.rate
            for index in 0..<count {
                // Spread evenly over the interval.
                let turns = LoadTurns(first: begin + interval * index / count, interval: interval, count: nil)
                clients.append(
                    try await LoadClient.make(client, index, of: count, shape.nodes, turns, begin: begin)
                )
            }
        }
        for client in clients { client.start() }
        return Load(clients, begin)
    }

    /// Sends so many requests as fast as answers come, and waits for all of them.
    static func burst(_ client: LoadShape.Client, count: Int, nodes: [Int]) async throws -> History {
        let begin = ContinuousClock.now
        let connections = min(count, client.connectionsPerNode * nodes.count)
        var clients: [LoadClient] = []
        for index in 0..<connections {
            let own = count / connections + (index < count % connections ? 1 : 0)
            let turns = LoadTurns(first: begin, interval: .zero, count: own)
            clients.append(try await LoadClient.make(client, index, of: connections, nodes, turns, begin: begin))
        }
        for client in clients { client.start() }
        let load = Load(clients, begin)
        for client in clients { await client.ended() }
        return load.history
    }

    private init(_ clients: [LoadClient], _ begin: ContinuousClock.Instant) {
        self.clients = clients
        self.begin = begin
    }

    /// The load's time.
    var now: Duration { ContinuousClock.now - begin }

    /// What was seen so far.
    var history: History {
        History(samples: clients.flatMap { $0.samples }.sorted { $0.start < $1.start }, hiccup: hiccups.longest)
    }

    /// Sends nothing new, waits for what is under way.
    func stop() async -> History {
        for client in clients { client.stop() }
        for client in clients { await client.ended() }
        return history
    }
}

/// When a connection sends.
struct LoadTurns: Sendable {
    var first: ContinuousClock.Instant
    var interval: Duration
    /// nil: until it is stopped.
    var count: Int?
}

/// One connection's worth of traffic, as other threads see it.
final class LoadClient: Sendable {
    private let loop: any EventLoop
    private let core: NIOLoopBound<LoadConnection>
    private let shared: SharedSamples

    static func make(
        _ client: LoadShape.Client,
        _ index: Int,
        of count: Int,
        _ nodes: [Int],
        _ turns: LoadTurns,
        begin: ContinuousClock.Instant
    ) async throws -> LoadClient {
        let loop = FaultProxy.loops.next()
        let shared = SharedSamples()
        let core = try await loop.submit {
            let connection = LoadConnection(loop: loop, client: client, turns: turns, begin: begin, shared: shared)
            connection.node = index % nodes.count
            connection.port = nodes[index % nodes.count]
            connection.number = index
            connection.stride = count
            return NIOLoopBound(connection, eventLoop: loop)
        }.get()
        return LoadClient(loop, core, shared)
    }

    private init(_ loop: any EventLoop, _ core: NIOLoopBound<LoadConnection>, _ shared: SharedSamples) {
        self.loop = loop
        self.core = core
        self.shared = shared
    }

    var samples: [Sample] { shared.samples.withLock { $0 } }

    func start() {
        let core = core
        loop.execute { core.value.takeTurn() }
    }

    func stop() {
        let core = core
        loop.execute { core.value.stop() }
    }

    func ended() async {
        let core = core
        do {
            try await loop.flatSubmit { core.value.ended.futureResult }.get()
        } catch {
            preconditionFailure("it is only ever succeeded")
        }
    }
}

/// Samples, written on a loop and read anywhere.
final class SharedSamples: Sendable {
    let samples = Mutex<[Sample]>([])
}

/// How long the machine keeps a thread of ours waiting that is due: what no part under test can be blamed for.
final class HiccupMeter: Sendable {
    private static let interval = Duration.milliseconds(10)
    private let seen: Seen
    private let ticks: [RepeatedTask]

    private final class Seen: Sendable {
        let longest = Mutex(Duration.zero)
    }

    init() {
        let seen = Seen()
        self.seen = seen
        let interval = TimeAmount(Self.interval)
        ticks = FaultProxy.loops.makeIterator().map { loop in
            let last = Mutex(ContinuousClock.now)
            return loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
                let now = ContinuousClock.now
                let late = last.withLock { last in
                    defer { last = now }
                    return now - last - Self.interval
                }
                seen.longest.withLock { $0 = max($0, late) }
            }
        }
    }

    deinit { for tick in ticks { tick.cancel() } }

    /// The longest wait beyond what was asked for.
    var longest: Duration { seen.longest.withLock { $0 } }
}
