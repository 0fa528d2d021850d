// A provider's URL is written by an admin and could point at what only this machine may see. The name is checked
// where it cannot lie: at connect, as the address that is about to be dialled, whatever its spelling was.

/// Which addresses may be dialled.
struct AddressGuard {
    let allowsPrivate: Bool

    /// Judges an address in network order: 4 bytes of IPv4 or 16 of IPv6; anything else is refused.
    func permits(_ address: [UInt8]) -> Bool {
        switch address.count {
        case 4: permitsIPv4(address)
        case 16: permitsIPv6(address)
        default: false
        }
    }

    private func permitsIPv4(_ address: [UInt8]) -> Bool {
        let (first, second) = (address[0], address[1])
        switch first {
        case 0, 224...255: return false  // "this network" reaches loopback; multicast, reserved, broadcast
        case 169 where second == 254: return false  // link-local, with the metadata service of most clouds
        case 168 where address == [168, 63, 129, 16]: return false  // Azure's wire server
        case 100 where address == [100, 100, 100, 200]: return false  // Alibaba's metadata
        case 10, 127: return allowsPrivate
        case 100 where second & 0xC0 == 64: return allowsPrivate  // carrier-grade NAT
        case 172 where second & 0xF0 == 16: return allowsPrivate
        case 192 where second == 168: return allowsPrivate
        default: return true
        }
    }

    private func permitsIPv6(_ address: [UInt8]) -> Bool {
        if let embedded = Self.embeddedIPv4(address) { return permitsIPv4(embedded) }
        if address == Self.loopback { return allowsPrivate }
        if address == Self.amazonMetadata { return false }
        switch address[0] {
        case 0xFF: return false  // multicast
        case 0xFE where address[1] & 0xC0 == 0x80: return false  // link-local
        case 0xFE where address[1] & 0xC0 == 0xC0: return allowsPrivate  // site-local, long deprecated
        case 0xFC, 0xFD: return allowsPrivate  // unique local
        default: return true
        }
    }

    private static let loopback: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    private static let amazonMetadata: [UInt8] = [0xFD, 0, 0x0E, 0xC2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54]
    private static let translated: [UInt8] = [0, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0]

    /// The IPv4 address inside a mapped, compatible, translated (NAT64) or 6to4 one.
    private static func embeddedIPv4(_ address: [UInt8]) -> [UInt8]? {
        let prefix = Array(address[..<12])
        let zeros = address[..<10].allSatisfy { $0 == 0 }
        if zeros, address[10] == 0xFF, address[11] == 0xFF { return Array(address[12...]) }
        if zeros, address[10] == 0, address[11] == 0, address != loopback { return Array(address[12...]) }
        if prefix == translated { return Array(address[12...]) }
        if address[0] == 0x20, address[1] == 0x02 { return Array(address[2..<6]) }
        return nil
    }
}
