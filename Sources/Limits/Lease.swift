// Who holds what can be returned later. A node that dies settles nothing; its lease lapses, and whoever calls next for
// the app gives back what it held (counters.lua, reap).

/// A life of a node, or of a part of one that renews by itself; its name is in Redis keys and never used again.
public struct LeaseHolder: Hashable, Sendable {
    /// 1...128 bytes of letters, digits, `_`, `-` and `.`.
    public let name: [UInt8]

    /// How long a holder is believed to live after it last renewed, by Redis's clock.
    ///
    /// Somebody looks at least every 2 s while the app has requests, so what a dead node held is back within 10 s.
    public static let lapse: Duration = .seconds(7)
    /// How often a holder renews for each app of which it holds reservations open.
    public static let renewal: Duration = .seconds(2)

    /// Names a holder.
    ///
    /// - Parameter name: unique to this start of the node, as a boot id is.
    public init(_ name: String) {
        self.name = Array(name.utf8)
        precondition((1...128).contains(self.name.count), "a lease holder's name is 1 to 128 bytes")
    }
}

/// A reservation, within its holder; never a client's text.
public struct ReservationID: Hashable, Sendable {
    /// Which of the holder's threads made it.
    public let worker: UInt16
    /// Never used twice by the thread.
    public let number: UInt64

    /// Names a reservation.
    public init(worker: UInt16, number: UInt64) {
        self.worker = worker
        self.number = number
    }

    /// As Redis knows it: `<worker>.<number>`.
    var name: [UInt8] {
        var name: [UInt8] = []
        name.reserveCapacity(24)
        Decimal.append(Int64(worker), to: &name)
        name.append(UInt8(ascii: "."))
        Decimal.append(unsigned: number, to: &name)
        return name
    }
}

/// Says that a holder lives, and gives back what a dead one held.
public enum RenewScript {
    /// The most that one call gives back: about a millisecond of Redis's time.
    public static let mostReturned = 200

    /// One app's call.
    public static func call(app: [UInt8], holder: LeaseHolder) -> ScriptCall {
        let keys = CounterKeys(app: app)
        return ScriptCall(
            script: .renew,
            keys: [keys.leases, keys.openReservations(of: holder)],
            arguments: [holder.name]
        )
    }

    /// What the reply says.
    ///
    /// - Returns: how many reservations of the holder are open, and how many of a dead one's were given back; when these
    ///   are `mostReturned`, more may be left, and the call is to be repeated at once.
    /// - Throws: when the script cannot have said it.
    public static func outcome(of integers: [Int64]) throws(LimitsError) -> (open: Int, returned: Int) {
        guard integers.count == 2 else { throw .wrongCount }
        guard (0...Int64(UInt32.max)).contains(integers[0]), (0...Int64(mostReturned)).contains(integers[1]) else {
            throw .outOfBounds
        }
        return (Int(integers[0]), Int(integers[1]))
    }
}
