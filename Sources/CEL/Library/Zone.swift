// A zone's rules from a TZif file (RFC 8536), of which the second, 64-bit block counts:
//
//     header (44) | block of version 1 | header (44) | times 8 × n | types n | types' details 6 × m | … | "\n" rule "\n"

/// A zone: when its clock was changed, and to what.
final class Zone: Sendable {
    /// When the clock changes, ascending.
    private let times: [Int64]
    /// To which offset, for each time.
    private let offsets: [Int32]
    /// What held before the first change.
    private let initial: Int32
    /// What holds after the last.
    private let rule: ZoneRule?

    /// Reads a file; nil when it is no TZif of version 2 or later.
    init?(_ octets: [UInt8]) {
        var reader = Reader(octets: octets)
        guard let first = reader.header(), first.version >= UInt8(ascii: "2"), reader.skip(first.size(timeBytes: 4)),
            let header = reader.header(), header.leaps == 0, header.types > 0
        else { return nil }
        var times: [Int64] = []
        var types: [Int] = []
        var details: [Int32] = []
        for _ in 0..<header.times {
            guard let time = reader.integer(8), times.last.map({ $0 < time }) ?? true else { return nil }
            times.append(time)
        }
        for _ in 0..<header.times {
            guard let type = reader.integer(1) else { return nil }
            types.append(Int(type & 0xFF))
        }
        for _ in 0..<header.types {
            guard let offset = reader.integer(4), offset.magnitude < 200_000, reader.skip(2) else { return nil }
            details.append(Int32(offset))
        }
        guard types.allSatisfy({ $0 < details.count }),
            reader.skip(header.characters + header.standardFlags + header.utcFlags), let footer = reader.footer()
        else { return nil }
        self.times = times
        offsets = types.map { details[$0] }
        initial = details[0]
        rule = footer.isEmpty ? nil : ZoneRule(footer)
        if rule == nil, !footer.isEmpty { return nil }
    }

    /// Seconds east of Greenwich at a time.
    func offset(at seconds: Int64) -> Int32 {
        var low = 0
        var high = times.count
        while low < high {
            let middle = (low + high) / 2
            if times[middle] <= seconds { low = middle + 1 } else { high = middle }
        }
        if low == times.count, let rule { return rule.offset(at: seconds) }
        return low == 0 ? initial : offsets[low - 1]
    }

    private struct Header {
        var version: UInt8 = 0
        var utcFlags = 0
        var standardFlags = 0
        var leaps = 0
        var times = 0
        var types = 0
        var characters = 0

        func size(timeBytes: Int) -> Int {
            times * (timeBytes + 1) + types * 6 + characters + leaps * (timeBytes + 4) + standardFlags + utcFlags
        }
    }

    private struct Reader {
        let octets: [UInt8]
        var offset = 0

        mutating func skip(_ count: Int) -> Bool {
            guard count <= octets.count - offset else { return false }
            offset += count
            return true
        }

        /// A big-endian integer with a sign.
        mutating func integer(_ bytes: Int) -> Int64? {
            guard bytes <= octets.count - offset else { return nil }
            var value: UInt64 = 0
            for index in offset..<offset + bytes { value = value << 8 | UInt64(octets[index]) }
            offset += bytes
            let unused = 64 - 8 * bytes
            return Int64(bitPattern: value << unused) >> unused
        }

        mutating func header() -> Header? {
            let start = offset
            guard skip(20), octets[start..<start + 4].elementsEqual("TZif".utf8) else { return nil }
            var header = Header(version: octets[start + 4])
            for field in [
                \Header.utcFlags, \.standardFlags, \.leaps, \.times, \.types, \.characters,
            ] as [WritableKeyPath<Header, Int>] {
                // No file is as large as that, hence no product of counts overflows.
                guard let count = integer(4), count >= 0, count <= 1 << 16 else { return nil }
                header[keyPath: field] = Int(count)
            }
            return header
        }

        /// The text between the last two line breaks.
        mutating func footer() -> [UInt8]? {
            guard offset < octets.count, octets[offset] == 0x0A, let last = octets.last, last == 0x0A,
                offset + 1 < octets.count
            else { return nil }
            return Array(octets[(offset + 1)..<(octets.count - 1)])
        }
    }
}
