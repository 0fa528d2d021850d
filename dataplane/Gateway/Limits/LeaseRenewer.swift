// When to renew leases: one call for each app of which a gate holds reservations open, spread over two seconds, so
// that a thousand apps are no burst; when Redis is back, a few at a time for the same reason. What is not renewed is
// given back by others ten seconds later.

import Limits
import Reactor

/// The reservations of an app that were made under one of a gate's names.
struct LeaseKey: Hashable {
    let app: [UInt8]
    /// Which of the gate's names; it takes another when Redis holds under this one what nobody will close.
    let life: UInt32
}

/// The schedule of one gate's renewals; confined to its Reactor, and silent while nothing is open.
final class LeaseRenewer {
    private static let slices = 30
    /// Renewals on their way at a time when all are due at once; each takes Redis some 20 us, and requests wait behind.
    static let maxUrgentFlights = 32

    private let reactor: Reactor
    private let renew: (LeaseKey, _ done: @escaping (_ isRenewed: Bool) -> Void) -> Void
    private struct Open {
        var count = 0
        var closed = 0
        /// Renewals in a row that found more open in Redis.
        var excesses = 0
    }

    /// After so many it is no coincidence.
    private static let excessesToTell = 3

    /// Reservations that are open.
    private var open: [LeaseKey: Open] = [:]
    private var round: [LeaseKey] = []
    private var perSlice = 0
    private var slicesLeft = 0
    private var isTicking = false
    /// What is due at once.
    private var urgent: [LeaseKey] = []
    private var urgentFlights = 0

    /// Makes one with nothing open; `renew` renews an app's leases and says whether Redis has done it.
    init(reactor: Reactor, renew: @escaping (LeaseKey, _ done: @escaping (_ isRenewed: Bool) -> Void) -> Void) {
        self.reactor = reactor
        self.renew = renew
    }

    /// A reservation with a lease was made.
    func opened(_ key: LeaseKey) {
        open[key, default: Open()].count += 1
        guard !isTicking else { return }
        isTicking = true
        tick()
    }

    /// It is settled, or about to be.
    func closed(_ key: LeaseKey) {
        guard let count = open[key]?.count else { return }
        guard count > 1 else {
            open[key] = nil
            return
        }
        open[key]?.count = count - 1
        open[key]?.closed += 1
    }

    /// How many were closed so far; nil when none is open.
    func closedCount(of key: LeaseKey) -> Int? { open[key]?.closed }

    /// Compares what a renewal found open in Redis with what is open here.
    ///
    /// - Parameters:
    ///   - key: what was renewed.
    ///   - openInRedis: what Redis answered.
    ///   - closedBefore: `closedCount` when it was asked; what was closed since may have been open then.
    ///   - settling: closed before that, but settled after it.
    /// - Returns: whether Redis holds more again and again: something will never be closed.
    func isLeaking(_ key: LeaseKey, openInRedis: Int, closedBefore: Int, settling: Int) -> Bool {
        guard let known = open[key], known.closed >= closedBefore else { return false }
        let excess = openInRedis - known.count - (known.closed - closedBefore) - settling
        open[key]?.excesses = excess > 0 ? known.excesses + 1 : 0
        return excess > 0 && known.excesses + 1 >= Self.excessesToTell
    }

    /// Redis is back: renews all as soon as can be without a burst.
    func renewAll() {
        begin()
        (urgent, round) = (round, [])
        sendUrgent()
    }

    private func sendUrgent() {
        while urgentFlights < Self.maxUrgentFlights, let key = urgent.popLast() {
            guard open[key] != nil else { continue }
            urgentFlights += 1
            renew(key) { [weak self] isRenewed in
                guard let self else { return }
                urgentFlights -= 1
                // Redis is out again, and will be back.
                if !isRenewed { urgent = [] }
                sendUrgent()
            }
        }
    }

    private func tick() {
        _ = reactor.schedule(after: LeaseHolder.renewal / Self.slices) { [weak self] in
            guard let self else { return }
            if slicesLeft == 0 { begin() }
            slicesLeft -= 1
            sendSlice(perSlice)
            guard !open.isEmpty else {
                isTicking = false
                return
            }
            tick()
        }
    }

    private func begin() {
        round = Array(open.keys)
        perSlice = (round.count + Self.slices - 1) / Self.slices
        slicesLeft = Self.slices
    }

    private func sendSlice(_ count: Int) {
        for _ in 0..<min(count, round.count) {
            let key = round.removeLast()
            if open[key] != nil { renew(key) { _ in } }
        }
    }
}
