// When to renew leases: one call for each app of which a gate holds reservations open, spread over two seconds, so
// that a thousand apps are no burst; when Redis is back, a few at a time for the same reason. What is not renewed is
// given back by others ten seconds later.

import Limits
import Reactor

/// The schedule of one gate's renewals; confined to its Reactor, and silent while nothing is open.
final class LeaseRenewer {
    private static let slices = 30
    /// Renewals on their way at a time when all are due at once; each takes Redis some 20 us, and requests wait behind.
    static let maxUrgentFlights = 32

    private let reactor: Reactor
    private let renew: ([UInt8], _ done: @escaping (_ isRenewed: Bool) -> Void) -> Void
    /// Reservations that are open, by app.
    private var open: [[UInt8]: Int] = [:]
    private var round: [[UInt8]] = []
    private var perSlice = 0
    private var slicesLeft = 0
    private var isTicking = false
    /// Apps that are due at once.
    private var urgent: [[UInt8]] = []
    private var urgentFlights = 0

    /// Makes one with nothing open; `renew` renews an app's leases and says whether Redis has done it.
    init(reactor: Reactor, renew: @escaping ([UInt8], _ done: @escaping (_ isRenewed: Bool) -> Void) -> Void) {
        self.reactor = reactor
        self.renew = renew
    }

    /// A reservation with a lease was made.
    func opened(_ app: [UInt8]) {
        open[app, default: 0] += 1
        guard !isTicking else { return }
        isTicking = true
        tick()
    }

    /// It is settled, or about to be.
    func closed(_ app: [UInt8]) {
        guard let count = open[app] else { return }
        open[app] = count > 1 ? count - 1 : nil
    }

    /// Redis is back: renews all as soon as can be without a burst.
    func renewAll() {
        begin()
        (urgent, round) = (round, [])
        sendUrgent()
    }

    private func sendUrgent() {
        while urgentFlights < Self.maxUrgentFlights, let app = urgent.popLast() {
            guard open[app] != nil else { continue }
            urgentFlights += 1
            renew(app) { [weak self] isRenewed in
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
            let app = round.removeLast()
            if open[app] != nil { renew(app) { _ in } }
        }
    }
}
