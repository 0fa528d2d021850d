// Which messages make a node look at the head. Pure: time comes in as an argument, so that a flood and a forgery are
// table tests.

/// Decides when the head in Redis is read.
///
/// A message is a hint: it can make the node look, never believe. One that announces what is enforced already, or
/// less, is a heartbeat and costs nothing. One that promised more than the head held earns a pause.
struct HeadTracker: Sendable {
    enum Action: Equatable {
        case none
        case readHead
        /// Look again when this time has come: the message may be true although the last one was not.
        case wait(until: Duration)
    }

    /// What is enforced.
    private(set) var current: SnapshotIdentity?
    private let futilePause: Duration
    private var isBusy = false
    private var isByHint = false
    private var waiting: SnapshotIdentity?
    private var pausedUntil: Duration?
    private var mustRead = false
    /// When the last two readings began that a connection caused: one for commands and one for messages may come at
    /// once, and a server that drops its clients over and over makes us look twice a pause.
    private var forcedAt: (Duration, Duration)?

    init(futilePause: Duration) {
        self.futilePause = futilePause
    }

    /// A well-formed message came.
    mutating func announced(_ identity: SnapshotIdentity, now: Duration) -> Action {
        guard isNews(identity) else { return .none }
        waiting = identity
        return next(now: now)
    }

    /// The connection is new, so messages may have been missed: look, whatever was heard.
    mutating func connected(now: Duration) -> Action {
        mustRead = true
        return next(now: now)
    }

    /// A time that `.wait` named has come.
    mutating func pauseEnded(now: Duration) -> Action { next(now: now) }

    /// A snapshot is enforced now, from whatever source.
    mutating func enforced(_ identity: SnapshotIdentity) {
        current = identity
        pausedUntil = nil
    }

    /// The reading that `.readHead` asked for is over, with all that followed from it.
    ///
    /// - Parameters:
    ///   - foundNews: whether the head led to a swap; if a hint caused the reading and it did not, the next one waits.
    ///   - now: since any origin, the same in every call.
    /// - Returns: what to do next.
    mutating func readEnded(foundNews: Bool, now: Duration) -> Action {
        isBusy = false
        if !foundNews, isByHint { pausedUntil = now + futilePause }
        return next(now: now)
    }

    private mutating func next(now: Duration) -> Action {
        guard !isBusy else { return .none }
        if mustRead {
            if let forcedAt, now < forcedAt.0 + futilePause { return .wait(until: forcedAt.0 + futilePause) }
            forcedAt = (forcedAt?.1 ?? now - futilePause, now)
            mustRead = false
            isBusy = true
            isByHint = false
            return .readHead
        }
        guard let hint = waiting else { return .none }
        guard isNews(hint) else {
            waiting = nil
            return .none
        }
        if let pausedUntil, now < pausedUntil { return .wait(until: pausedUntil) }
        waiting = nil
        isBusy = true
        isByHint = true
        return .readHead
    }

    private func isNews(_ identity: SnapshotIdentity) -> Bool {
        guard let current else { return true }
        return identity.lineage != current.lineage || identity.version > current.version
    }
}
