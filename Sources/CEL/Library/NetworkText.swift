// Addresses as text: RFC 4291 in, RFC 5952 out. An IPv4-mapped address in the hexadecimal form (`::ffff:c0a8:1`) is
// the IPv4 address that it maps, so that it can be neither unequal to it nor outside of a network that has it.

/// Addresses and networks read from text and printed.
enum NetworkText {
    /// The longest address: "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".
    private static let maxAddressBytes = 45

    /// An address; nil when it is none.
    static func address(_ text: ByteString) -> NetworkValue? {
        guard let address = plainAddress(text) else { return nil }
        guard isMapped(address) else { return address }
        return NetworkValue(high: 0, low: address.low & 0xFFFF_FFFF, isIPv6: false)
    }

    /// `address/prefix`, the address's bits behind the prefix kept; nil when it is none, or of mapped addresses.
    static func network(_ text: ByteString) -> NetworkValue? {
        guard text.count <= maxAddressBytes + 4 else { return nil }
        guard let slash = (0..<text.count).first(where: { text[$0] == UInt8(ascii: "/") }),
            let address = plainAddress(text.slice(0..<slash)), !isMapped(address),
            let prefix = decimal(text.slice(slash + 1..<text.count), max: address.isIPv6 ? 128 : 32)
        else { return nil }
        return NetworkValue(
            high: address.high,
            low: address.low,
            isIPv6: address.isIPv6,
            prefixLength: Int(prefix)
        )
    }

    /// The canonical text.
    static func text(_ network: NetworkValue) -> [UInt8] {
        var text: [UInt8] = []
        if network.isIPv6 { appendIPv6(network, to: &text) } else { appendIPv4(network.low, to: &text) }
        if let prefix = network.prefixLength {
            text.append(UInt8(ascii: "/"))
            text += String(prefix).utf8
        }
        return text
    }

    private static func isMapped(_ address: NetworkValue) -> Bool {
        address.isIPv6 && address.high == 0 && address.low >> 32 == 0xFFFF
    }

    private static func plainAddress(_ text: ByteString) -> NetworkValue? {
        guard text.count <= maxAddressBytes else { return nil }
        if (0..<text.count).contains(where: { text[$0] == UInt8(ascii: ":") }) { return ipv6(text) }
        return ipv4(text).map { NetworkValue(high: 0, low: $0, isIPv6: false) }
    }

    /// Four numbers without leading zeros.
    private static func ipv4(_ text: ByteString) -> UInt64? {
        var value: UInt64 = 0
        var fields = 0
        var start = 0
        for offset in 0...text.count where offset == text.count || text[offset] == UInt8(ascii: ".") {
            guard let field = decimal(text.slice(start..<offset), max: 255) else { return nil }
            value = value << 8 | field
            fields += 1
            guard fields <= 4 else { return nil }
            start = offset + 1
        }
        return fields == 4 ? value : nil
    }

    private static func ipv6(_ text: ByteString) -> NetworkValue? {
        var groups: [UInt64] = []
        var gap: Int?
        var offset = 0
        var isDotted = false
        if text.count >= 2, text[0] == UInt8(ascii: ":"), text[1] == UInt8(ascii: ":") {
            gap = 0
            offset = 2
        }
        while offset < text.count {
            guard groups.count < 8, !isDotted else { return nil }
            var end = offset
            while end < text.count, text[end] != UInt8(ascii: ":") { end += 1 }
            let field = text.slice(offset..<end)
            if let group = hexadecimal(field) {
                groups.append(group)
            } else {
                guard end == text.count, let dotted = ipv4(field) else { return nil }
                groups += [dotted >> 16, dotted & 0xFFFF]
                isDotted = true
            }
            offset = end
            guard offset < text.count else { break }
            // A colon: another one makes the gap, and nothing may follow that.
            offset += 1
            if offset < text.count, text[offset] == UInt8(ascii: ":") {
                guard gap == nil else { return nil }
                gap = groups.count
                offset += 1
            } else if offset == text.count {
                return nil
            }
        }
        // A gap stands for at least one group.
        guard gap == nil ? groups.count == 8 : groups.count <= 7 else { return nil }
        if let gap {
            groups.insert(contentsOf: [UInt64](repeating: 0, count: 8 - groups.count), at: gap)
        }
        let high = groups[..<4].reduce(0) { $0 << 16 | $1 }
        let low = groups[4...].reduce(0) { $0 << 16 | $1 }
        let address = NetworkValue(high: high, low: low, isIPv6: true)
        return isDotted && isMapped(address) ? nil : address
    }

    /// One to four hexadecimal digits.
    private static func hexadecimal(_ text: ByteString) -> UInt64? {
        guard (1...4).contains(text.count) else { return nil }
        var value: UInt64 = 0
        for offset in 0..<text.count {
            switch text[offset] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt64(text[offset] - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"):
                value = value << 4 | UInt64((text[offset] | 0x20) - UInt8(ascii: "a") + 10)
            default: return nil
            }
        }
        return value
    }

    /// One to three decimal digits without leading zeros.
    private static func decimal(_ text: ByteString, max: UInt64) -> UInt64? {
        guard (1...3).contains(text.count), text.count == 1 || text[0] != UInt8(ascii: "0") else { return nil }
        var value: UInt64 = 0
        for offset in 0..<text.count {
            guard let digit = NumberText.digit(text[offset]) else { return nil }
            value = value * 10 + digit
        }
        return value <= max ? value : nil
    }

    private static func appendIPv4(_ value: UInt64, to text: inout [UInt8]) {
        for shift in [24, 16, 8, 0] as [UInt64] {
            if shift < 24 { text.append(UInt8(ascii: ".")) }
            text += String(value >> shift & 0xFF).utf8
        }
    }

    /// Lower case, no leading zeros, and `::` for the first of the longest runs of two zero groups or more.
    private static func appendIPv6(_ address: NetworkValue, to text: inout [UInt8]) {
        var groups: [UInt64] = []
        for half in [address.high, address.low] {
            for shift in [48, 32, 16, 0] as [UInt64] { groups.append(half >> shift & 0xFFFF) }
        }
        var gap = 0..<0
        var start = 0
        for index in 0...8 where index == 8 || groups[index] != 0 {
            if index - start > max(1, gap.count) { gap = start..<index }
            start = index + 1
        }
        for index in 0..<8 {
            if gap.contains(index) {
                if index == gap.lowerBound { text.append("::") }
                continue
            }
            if index > 0, index != gap.upperBound || gap.isEmpty { text.append(UInt8(ascii: ":")) }
            text += String(groups[index], radix: 16).utf8
        }
    }
}
