// The Swift side of schemas/redis/settle.lua: a reservation was an estimate, and this corrects it by what was used.
// Giving back a reservation that never reached a provider is the same with nothing used.

/// A charge and what became of it.
public struct SettledCharge: Equatable, Sendable {
    /// Names the counter within the app's slot.
    public let counter: [UInt8]
    /// The window's length.
    public let windowMilliseconds: Int64
    /// The window that was charged; when it is over, settling does nothing.
    public let windowID: Int64
    /// What was used less what was charged.
    public private(set) var delta: Int64

    /// Makes the correction of one claim; nil when nothing is to correct: not charged, or used just as estimated.
    ///
    /// - Parameters:
    ///   - claim: what was reserved.
    ///   - state: what the reservation answered.
    ///   - used: what the request turned out to use, in the claim's unit; 0 gives all of it back.
    public init?(_ claim: LimitClaim, _ state: LimitState, used: Int64) {
        let bounds = 0...ReserveScript.maxCount
        let cost = min(max(claim.cost, bounds.lowerBound), bounds.upperBound)
        let delta = min(max(used, bounds.lowerBound), bounds.upperBound) - cost
        guard !state.isOver, delta != 0 else { return nil }
        counter = claim.counter
        windowMilliseconds = claim.windowMilliseconds
        windowID = state.windowID
        self.delta = delta
    }
}

extension SettledCharge {
    /// Adds another correction of the same counter and window, so that both travel as one.
    ///
    /// - Parameter other: made of another request.
    /// - Returns: false, and nothing is changed, when it is of another counter or window.
    public mutating func merge(_ other: SettledCharge) -> Bool {
        guard windowID == other.windowID, windowMilliseconds == other.windowMilliseconds, counter == other.counter
        else { return false }
        let (sum, overflows) = delta.addingReportingOverflow(other.delta)
        guard !overflows, abs(sum) <= ReserveScript.maxCount else { return false }
        delta = sum
        return true
    }
}

/// Corrects charges; a counter never falls below 0.
public enum SettleScript {
    /// The script's text.
    public static let source: [UInt8] = PackageResources.settle_lua

    /// The charged counters, in order.
    public static func keys(app: [UInt8], charges: [SettledCharge]) -> [[UInt8]] {
        let keys = CounterKeys(app: app)
        return charges.map { keys.key(counter: $0.counter, windowMilliseconds: $0.windowMilliseconds) }
    }

    /// The script's arguments: correction and window's last millisecond of each charge.
    public static func arguments(charges: [SettledCharge]) -> [[UInt8]] {
        var arguments: [[UInt8]] = []
        arguments.reserveCapacity(2 * charges.count)
        for charge in charges {
            arguments.append(Decimal.bytes(charge.delta))
            arguments.append(Decimal.bytes((charge.windowID + 1) * charge.windowMilliseconds - 1))
        }
        return arguments
    }
}
