// The Swift side of schemas/redis/settle.lua: what one turn has to settle for an app leaves in one call.

/// Settlements of one app that travel together; corrections of one counter and window are added up.
public struct SettlementBatch: Sendable {
    private struct Target {
        let charge: SettledCharge
        /// Corrections without a lease; those with one are added up by the script, which knows which are open.
        var delta: Int64 = 0
        /// What its reservations used, which is in the counter once this is settled.
        var used: Int64 = 0

        func isOf(_ other: SettledCharge) -> Bool {
            charge.windowID == other.windowID && charge.algorithm == other.algorithm
                && charge.windowMilliseconds == other.windowMilliseconds && charge.counter == other.counter
        }
    }

    private struct Closing {
        let id: ReservationID
        let isUnanswered: Bool
        let charges: [(target: Int, delta: Int64, whenLapsed: Int64)]
    }

    /// Bounds a call's time in Redis, which serves nobody else meanwhile.
    private static let maxSettlements = 128

    private var targets: [Target] = []
    private var closings: [Closing] = []
    /// How many settlements it holds.
    public private(set) var count = 0
    /// Those without a lease.
    private var leaselessCount = 0

    /// Makes an empty batch.
    public init() {}

    /// Has as much as one call should carry: send it and begin another.
    public var isFull: Bool { count >= Self.maxSettlements }

    /// Adds a settlement.
    public mutating func add(_ settlement: Settlement) {
        count += 1
        let charges = settlement.charges.map { charge in
            (target: target(of: charge), delta: charge.delta, whenLapsed: charge.deltaWhenLapsed)
        }
        guard let id = settlement.reservation else {
            // Costs are at most 2⁵³, so a full batch is far from overflow.
            for charge in charges { targets[charge.target].delta += charge.delta }
            leaselessCount += 1
            return
        }
        for charge in charges { targets[charge.target].used += charge.whenLapsed }
        closings.append(Closing(id: id, isUnanswered: settlement.isUnanswered, charges: charges))
    }

    private mutating func target(of charge: SettledCharge) -> Int {
        if let index = targets.firstIndex(where: { $0.isOf(charge) }) { return index }
        targets.append(Target(charge: charge))
        return targets.count - 1
    }

    /// The call that settles all of it.
    ///
    /// Sent again after its answer was lost, it closes no reservation twice; corrections without a lease (requests
    /// given back) would be made twice, so they are left out first.
    public func call(app: [UInt8], holder: LeaseHolder) -> ScriptCall {
        let keys = CounterKeys(app: app)
        var names = [keys.openReservations(of: holder), keys.lapsedReservations(of: holder)]
        var arguments = [Decimal.bytes(Int64(targets.count))]
        for target in targets {
            let charge = target.charge
            let window = charge.windowMilliseconds
            names.append(keys.key(charge.algorithm, counter: charge.counter, windowMilliseconds: window))
            arguments.append([charge.algorithm.kind])
            arguments.append(
                Decimal.bytes(charge.algorithm.mark(windowID: charge.windowID, windowMilliseconds: window))
            )
            arguments.append(Decimal.bytes(target.delta))
            arguments.append(contentsOf: BucketRate.arguments(charge.rate))
        }
        for closing in closings {
            arguments.append(closing.id.name)
            arguments.append(Decimal.bytes(closing.isUnanswered ? -1 : Int64(closing.charges.count)))
            for charge in closing.charges {
                arguments.append(Decimal.bytes(Int64(charge.target + 1)))
                arguments.append(Decimal.bytes(charge.delta))
                arguments.append(Decimal.bytes(charge.whenLapsed))
            }
        }
        return ScriptCall(script: .settle, keys: names, arguments: arguments)
    }

    /// Makes it one that may be sent again when its answer was lost.
    ///
    /// - Returns: how many settlements that leaves out; they may have been made.
    public mutating func dropLeaseless() -> Int {
        for index in targets.indices { targets[index].delta = 0 }
        defer { leaselessCount = 0 }
        count -= leaselessCount
        return leaselessCount
    }

    /// What stays charged of its reservations once it is settled, by counter and window.
    public var charged: [(charge: SettledCharge, used: Int64)] {
        targets.filter { $0.used > 0 }.map { ($0.charge, $0.used) }
    }

    /// What the reply says.
    ///
    /// - Returns: how many of the reservations were open still, and how many counters were adjusted.
    /// - Throws: when the script cannot have said it.
    public static func outcome(of integers: [Int64]) throws(LimitsError) -> (open: Int, adjusted: Int) {
        guard integers.count == 2 else { throw .wrongCount }
        guard integers.allSatisfy({ (0...Int64(UInt32.max)).contains($0) }) else { throw .outOfBounds }
        return (Int(integers[0]), Int(integers[1]))
    }
}

extension LimitAlgorithm {
    /// What scripts know a charge's window by.
    func mark(windowID: Int64, windowMilliseconds: Int64) -> Int64 {
        switch self {
        case .fixedWindow: (windowID + 1) * windowMilliseconds - 1
        case .slidingWindow: windowID
        case .tokenBucket, .concurrency: 0
        }
    }
}

extension BucketRate {
    /// Refill, price and capacity as scripts read them.
    static func arguments(_ rate: BucketRate?) -> [[UInt8]] {
        [Decimal.bytes(rate?.refill ?? 0), Decimal.bytes(rate?.price ?? 0), Decimal.bytes(rate?.capacity ?? 0)]
    }
}
