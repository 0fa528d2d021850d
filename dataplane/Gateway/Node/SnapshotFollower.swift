// Hears of new snapshots and brings their manifests to the taker. Redis is followed while it speaks; when it falls
// silent or goes away the control plane is asked with long polls, until Redis speaks again.
//
//     hint on weir:head ─▶ HeadTracker ─▶ GET head ─▶ SnapshotTaker ─▶ swap or refusal
//     silence > 3 s, connection lost, nothing held after 100 ms, every 30 s ─▶ control plane ─▶ SnapshotTaker

import Logging
import Reactor
import Snapshot

/// Follows the head.
///
/// Confined to the node's Reactor.
final class SnapshotFollower {
    private enum Poll {
        case none
        case inFlight(ControlClient.Call?, isLong: Bool, known: SnapshotIdentity?, since: MonotonicTime)
        case waiting(ReactorTimer)
    }

    /// A poll that found nothing to take over is not repeated sooner.
    private static let pollPause: Duration = .seconds(1)
    private static let commandDeadline: Duration = .seconds(1)

    private let reactor: Reactor
    private let timing: NodeTiming
    private let control: ControlClient
    private let shared: NodeShared
    private let taker: SnapshotTaker
    private let logger: Logger
    private var commands: RedisConnection?
    private var subscriber: RedisConnection?
    private var tracker: HeadTracker
    private var headTimer: ReactorTimer?
    private var poll = Poll.none
    private var pollBackoff: Backoff
    private var random = SystemRandomNumberGenerator()
    private var isSubscribed = false
    /// The last message of Redis, at first the start: silence is counted from there.
    private var lastHeard: MonotonicTime
    private var lastPolled: MonotonicTime
    private var hasLostRedis = false
    private var isGraceOver = false
    private var isStopped = false

    init(
        reactor: Reactor,
        configuration: NodeConfiguration,
        control: ControlClient,
        shared: NodeShared,
        taker: SnapshotTaker,
        logger: Logger
    ) {
        self.reactor = reactor
        timing = configuration.timing
        self.control = control
        self.shared = shared
        self.taker = taker
        self.logger = logger
        tracker = HeadTracker(futilePause: configuration.timing.futilePause)
        pollBackoff = Backoff(least: configuration.timing.minBackoff, most: configuration.timing.maxBackoff)
        lastHeard = .now
        lastPolled = .now
        connect(to: configuration)
    }

    /// Begins: disk at once, Redis beside it, the control plane when Redis has nothing to say.
    func start() {
        lastHeard = .now
        lastPolled = .now
        taker.redis = { [weak self] source in
            guard let self, source == .redis || self.isFollowing else { return nil }
            return self.commands
        }
        commands?.connect()
        subscriber?.connect()
        taker.takeFromDisk()
        _ = reactor.schedule(after: timing.startGrace) { [weak self] in
            self?.isGraceOver = true
            self?.review()
        }
        tick()
    }

    /// Ends it; what is enforced stays enforced.
    func stop() {
        isStopped = true
        endPoll()
        taker.stop()
        commands?.close()
        subscriber?.close()
    }

    /// The taker enforces another snapshot now.
    func enforced(_ identity: SnapshotIdentity) {
        tracker.enforced(identity)
    }

    // MARK: Redis

    /// Whether Redis can be believed to tell of changes.
    private var isFollowing: Bool { isSubscribed && reactor.now - lastHeard <= timing.heartbeatSilence }

    private func connect(to configuration: NodeConfiguration) {
        let redis = RedisConfiguration(
            host: configuration.redisHost,
            port: configuration.redisPort,
            commandDeadline: Self.commandDeadline,
            maxReplyBytes: SnapshotBounds.maxChunkBytes
        )
        commands = RedisConnection(reactor: reactor, configuration: redis) { [weak self] state in
            if state == .ready { self?.connected() }
        }
        subscriber = RedisConnection(reactor: reactor, configuration: redis) { [weak self] state in
            if case .waiting = state { self?.lostRedis() }
        }
        subscriber?.subscribe(
            to: RedisNames.channel,
            onMessage: { [weak self] message in self?.heard(message) },
            onReady: { [weak self] in
                self?.isSubscribed = true
                self?.connected()
            }
        )
    }

    /// Whatever was published before now is in the head by now.
    private func connected() {
        guard !isStopped else { return }
        lastHeard = reactor.now
        follow(tracker.connected(now: now))
    }

    private func lostRedis() {
        isSubscribed = false
        hasLostRedis = true
        review()
    }

    private func heard(_ message: [UInt8]) {
        guard !isStopped, let identity = SnapshotIdentity(announcement: message) else { return }
        lastHeard = reactor.now
        if identity == taker.enforced {
            shared.confirm()
            // The head that was refused is gone, says a message; the control plane may say so with authority.
            if taker.hasRefusal, reactor.now - lastPolled > Self.pollPause { pollOnce() }
        }
        follow(tracker.announced(identity, now: now))
        review()
    }

    private func follow(_ action: HeadTracker.Action) {
        switch action {
        case .none: break
        case .readHead: readHead()
        case .wait(let time):
            guard headTimer?.isPending != true else { return }
            headTimer = reactor.schedule(after: time - now) { [weak self] in
                guard let self else { return }
                self.follow(self.tracker.pauseEnded(now: self.now))
            }
        }
    }

    private func readHead() {
        shared.update { $0.headReads += 1 }
        // Both at once: a notice goes with one head only.
        commands?.command([Array("MGET".utf8), RedisNames.head, RedisNames.canary]) { [weak self] reply in
            self?.gotHead(reply)
        }
    }

    private func gotHead(_ reply: Result<RedisReply, RedisFailure>) {
        guard !isStopped else { return }
        let parts: [RedisReply]
        switch reply {
        case .success(.array(let elements)) where elements.count == 2: parts = elements
        case .success: parts = []
        case .failure(let failure):
            shared.update { $0.redisMisses += 1 }
            logger.debug("the head was not read", metadata: ["reason": "\(failure)"])
            return headEnded(foundNews: false)
        }
        guard case .bulk(let manifest)? = parts.first, manifest.count <= SnapshotBounds.maxManifestBytes else {
            // Redis was emptied, or nothing was published lately: the control plane knows.
            shared.update { $0.redisMisses += 1 }
            if parts.first != .null { logger.warning("the head in Redis is no manifest") }
            headEnded(foundNews: false)
            return pollOnce()
        }
        shared.update { $0.redisHits += 1 }
        var notice: [UInt8]?
        if case .bulk(let bytes) = parts[1] { notice = bytes }
        taker.offer(manifest, notice: notice, from: .redis) { [weak self] outcome in
            self?.headEnded(foundNews: outcome == .swapped)
            // What Redis holds may have been tampered with: the control plane has the original.
            if outcome == .refused { self?.pollOnce() }
        }
    }

    private func headEnded(foundNews: Bool) {
        follow(tracker.readEnded(foundNews: foundNews, now: now))
        review()
    }

    // MARK: The control plane

    private func tick() {
        guard !isStopped else { return }
        review()
        if reactor.now - lastPolled > timing.confirmInterval { pollOnce() }
        _ = reactor.schedule(after: min(timing.heartbeatSilence / 12, .milliseconds(250))) { [weak self] in
            self?.tick()
        }
    }

    /// Polls when it must be polled, and stops when Redis tells all there is.
    private func review() {
        guard !isStopped else { return }
        let isFollowing = isFollowing
        shared.update { $0.isFollowingRedis = isFollowing }
        switch poll {
        case .none:
            if needsPolling { startPoll(isLong: true) }
        case .inFlight(_, let isLong, _, _):
            if isLong, !needsPolling { endPoll() }
        case .waiting:
            if !needsPolling { endPoll() }
        }
    }

    private var needsPolling: Bool {
        // A node with nothing to enforce asks everywhere until it has something.
        (taker.enforced == nil || !isFollowing) && (isGraceOver || hasLostRedis)
    }

    /// One look without waiting, unless a poll is under way already.
    private func pollOnce() {
        guard !isStopped, case .none = poll else { return }
        startPoll(isLong: false)
    }

    private func startPoll(isLong: Bool) {
        shared.update { $0.polls += 1 }
        lastPolled = reactor.now
        let known = taker.enforced
        let call = control.manifest(
            known: known,
            canary: taker.enforcedCanary,
            waitSeconds: isLong && known != nil ? timing.pollSeconds : nil
        ) { [weak self] answer, notice in self?.polled(answer, notice) }
        poll = .inFlight(call, isLong: isLong, known: known, since: reactor.now)
    }

    private func polled(_ answer: ControlClient.Answer, _ notice: [UInt8]?) {
        guard !isStopped, case .inFlight(_, _, let known, let since) = poll else { return }
        poll = .none
        let isAnswered: Bool
        switch answer {
        case .response(status: 200, _), .response(status: 304, _): isAnswered = true
        default: isAnswered = false
        }
        shared.update { status in
            if isAnswered { status.controlHits += 1 } else { status.controlMisses += 1 }
        }
        switch answer {
        case .response(status: 200, let manifest):
            pollBackoff.succeeded()
            // Nothing is asked while the manifest is looked at.
            pause(timing.maxBackoff)
            taker.offer(manifest, notice: notice, from: .control) { [weak self] outcome in
                self?.endPoll()
                if outcome == .swapped {
                    self?.review()
                } else {
                    self?.pause(Self.pollPause)
                }
            }
        case .response(status: 304, _):
            pollBackoff.succeeded()
            if let known { taker.confirm(known) }
            // Held for a while: ask again at once. Answered at once: whoever answers does not wait, so we do.
            let elapsed = reactor.now - since
            if elapsed < Self.pollPause { pause(Self.pollPause - elapsed) } else { review() }
        case .response(let status, _):
            logger.debug("the control plane has no manifest", metadata: ["status": "\(status)"])
            pause(pollBackoff.failed(random: &random))
        case .failure(let reason):
            logger.debug("the control plane did not answer", metadata: ["reason": "\(reason)"])
            let wait = pollBackoff.failed(random: &random)
            // A poll that had been held was cut for all nodes at this moment.
            let wasHeld = reactor.now - since >= Self.pollPause
            pause(wait + (wasHeld ? timing.reconnectSpread * Double.random(in: 0..<1, using: &random) : .zero))
        }
    }

    private func pause(_ duration: Duration) {
        guard !isStopped else { return }
        poll = .waiting(
            reactor.schedule(after: duration) { [weak self] in
                self?.poll = .none
                self?.review()
            }
        )
    }

    private func endPoll() {
        switch poll {
        case .none: break
        case .inFlight(let call, _, _, _): if let call { control.cancel(call) }
        case .waiting(let timer): reactor.cancel(timer)
        }
        poll = .none
    }

    private var now: Duration { reactor.now.sinceOrigin }
}
