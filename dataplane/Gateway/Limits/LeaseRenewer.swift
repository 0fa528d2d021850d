// When to renew leases: one call for each app of which a gate holds reservations open, spread over three seconds, so
// that a thousand apps are no burst. What is not renewed is given back by others ten seconds later.

import Limits
import Reactor

/// The schedule of one gate's renewals; confined to its Reactor, and silent while nothing is open.
final class LeaseRenewer {
    private static let slices = 30

    private let reactor: Reactor
    private let renew: ([UInt8]) -> Void
    /// Reservations that are open, by app.
    private var open: [[UInt8]: Int] = [:]
    private var round: [[UInt8]] = []
    private var perSlice = 0
    private var slicesLeft = 0
    private var isTicking = false
    private var lastRound: MonotonicTime = .now

    init(reactor: Reactor, renew: @escaping ([UInt8]) -> Void) {
        self.reactor = reactor
        self.renew = renew
    }

    /// A reservation with a lease was made.
    func opened(_ app: [UInt8]) {
        open[app, default: 0] += 1
        guard !isTicking else { return }
        isTicking = true
        lastRound = reactor.now
        tick()
    }

    /// It is settled, or about to be.
    func closed(_ app: [UInt8]) {
        guard let count = open[app] else { return }
        open[app] = count > 1 ? count - 1 : nil
    }

    /// Redis is back: renews at once.
    ///
    /// - Returns: whether the last renewal is so long ago that the leases may have lapsed.
    func renewAll() -> Bool {
        let mayHaveLapsed = reactor.now - lastRound > LeaseHolder.lapse
        begin()
        if !open.isEmpty { sendSlice(round.count) }
        return mayHaveLapsed
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
        lastRound = reactor.now
    }

    private func sendSlice(_ count: Int) {
        for _ in 0..<min(count, round.count) {
            let app = round.removeLast()
            if open[app] != nil { renew(app) }
        }
    }
}
