// Zones by name. The rules are the machine's own (/usr/share/zoneinfo), read once for each zone that is asked for;
// what a call costs does not depend on whether it was the first.

internal import Synchronization

/// What a zone's clock shows.
enum TimeZones {
    /// Seconds east of Greenwich at a time.
    ///
    /// The name is an IANA one, `UTC`, `[+-]HH:MM`, or empty for UTC; others are `.unknownTimeZone`.
    static func offset(_ name: ByteString, at seconds: Int64, _ meter: inout Meter) throws(EvaluationError) -> Int64 {
        guard name.count <= maxNameBytes else { throw EvaluationError(.unknownTimeZone) }
        if name.isEmpty || name == utc { return 0 }
        if let seconds = TimeText.offsetSeconds(name) { return seconds }
        // A file that is not cached takes about 30 µs to read, which no unit pays for.
        try meter.touch(1024)
        guard let zone = zone(named: name) else { throw EvaluationError(.unknownTimeZone) }
        return Int64(zone.offset(at: seconds))
    }

    /// A zone's rules; nil when there is none of that name.
    ///
    /// Reads a file the first time: programs ask for their constant zones when they are compiled.
    static func zone(named name: ByteString) -> Zone? {
        guard isName(name) else { return nil }
        if let known = cache.withLock({ $0[name] }) { return known }
        guard let file = ZoneFile.read(name), let zone = Zone(file) else { return nil }
        cache.withLock { zones in
            // A key of its own, so that a name does not keep the request alive in which it stood.
            if zones.count < maxCached { zones[ByteString(name.bytes)] = zone }
        }
        return zone
    }

    private static let utc = ByteString("UTC")
    /// "America/Argentina/ComodRivadavia" has 33.
    private static let maxNameBytes = 64
    private static let maxCached = 64
    private static let cache = Mutex<[ByteString: Zone]>([:])

    /// Whether a name can be a zone's: it is part of a file's name, so nothing but letters, digits and `_+-/`.
    ///
    /// `localtime` would be what this machine is set to: a rule must not depend on that.
    private static func isName(_ name: ByteString) -> Bool {
        guard !name.isEmpty, name.count <= maxNameBytes, name[0] != UInt8(ascii: "/") else { return false }
        for offset in 0..<name.count {
            switch name[offset] {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "+"), UInt8(ascii: "-"),
                UInt8(ascii: "/"):
                continue
            default: return false
            }
        }
        return name != ByteString("localtime")
    }
}
