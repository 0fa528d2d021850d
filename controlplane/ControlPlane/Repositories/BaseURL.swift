// A provider's address is an admin's way to make nodes talk to places, so it is checked where it is written: http or
// https, no userinfo, query or fragment, and no link-local or metadata address in any spelling that a resolver takes.
// Names that resolve to such addresses are refused by the node when it connects. Private ranges and loopback are
// legal: models are hosted there.

/// Checks provider base URLs; pure.
enum BaseURL {
    static let maxBytes = 2048

    /// Why the text cannot be a provider's base URL; nil when it can.
    static func fault(in text: String) -> String? {
        guard text.utf8.count <= maxBytes else { return "must be at most \(maxBytes) bytes" }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            return "must be printable ASCII without spaces; write international names in punycode"
        }
        guard let separator = text.firstRange(of: "://") else { return "must begin with http:// or https://" }
        let scheme = text[..<separator.lowerBound].lowercased()
        guard scheme == "http" || scheme == "https" else { return "must begin with http:// or https://" }
        let rest = text[separator.upperBound...]
        let unsafe: Set<Character> = ["?", "#", "@", "\\", "<", ">", "\"", "{", "}", "|", "^", "`"]
        guard !rest.contains(where: unsafe.contains) else {
            return "must not contain userinfo, a query, a fragment or characters that a URL does not have"
        }
        let authority = rest.prefix { $0 != "/" }
        return faultInAuthority(authority) ?? faultInPath(rest.dropFirst(authority.count))
    }

    private static func faultInPath(_ path: Substring) -> String? {
        let segments = path.split(separator: "/")
        guard !segments.contains("."), !segments.contains("..") else { return "must not contain . or .. segments" }
        return nil
    }

    private static func faultInAuthority(_ authority: Substring) -> String? {
        var host = authority
        var port: Substring?
        if authority.first == "[" {
            guard let end = authority.firstIndex(of: "]") else { return "has a broken IPv6 address" }
            host = authority[authority.index(after: authority.startIndex)..<end]
            let tail = authority[authority.index(after: end)...]
            guard tail.isEmpty || tail.first == ":" else { return "has a broken IPv6 address" }
            port = tail.isEmpty ? nil : tail.dropFirst()
            guard let address = IPv6.parse(host) else { return "has a broken IPv6 address" }
            if isForbidden(address) { return "names a link-local, metadata or unspecified address" }
        } else {
            if let colon = authority.firstIndex(of: ":") {
                host = authority[..<colon]
                port = authority[authority.index(after: colon)...]
            }
            if let fault = faultInName(host) { return fault }
        }
        if let port {
            guard let number = UInt16(port), number > 0, port.first != "+" else { return "has a broken port" }
        }
        return nil
    }

    private static func faultInName(_ host: Substring) -> String? {
        let name = host.hasSuffix(".") ? host.dropLast() : host
        guard !name.isEmpty, name.utf8.count <= 253 else { return "has no host" }
        guard
            name.utf8.allSatisfy({ byte in
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                    UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                    true
                default: false
                }
            })
        else { return "has a host with characters that host names do not have" }
        guard !name.split(separator: ".", omittingEmptySubsequences: false).contains("") else {
            return "has a broken host"
        }
        if let address = IPv4.parse(name) {
            return isForbidden(address) ? "names a link-local, metadata or unspecified address" : nil
        }
        let lowered = name.lowercased()
        let metadataNames = ["metadata", "metadata.google.internal", "metadata.goog", "instance-data"]
        return metadataNames.contains(lowered) ? "names a metadata service" : nil
    }

    /// 0.0.0.0/8, 169.254.0.0/16, multicast and above, and clouds' metadata addresses outside of those.
    private static func isForbidden(_ address: UInt32) -> Bool {
        address >> 24 == 0 || address >> 16 == 0xA9FE || address >> 28 >= 0xE
            || address == 0x6464_64C8  // 100.100.100.200, Alibaba
            || address == 0xC000_00C0  // 192.0.0.192, Oracle
    }

    private static func isForbidden(_ groups: [UInt16]) -> Bool {
        if groups == [0, 0, 0, 0, 0, 0, 0, 1] { return false }
        let low = UInt32(groups[6]) << 16 | UInt32(groups[7])
        let zeros = groups.prefix(5).allSatisfy { $0 == 0 }
        // ::a.b.c.d, ::ffff:a.b.c.d, 64:ff9b::a.b.c.d and 2002:a.b.c.d:: all reach the IPv4 address.
        if zeros, groups[5] == 0 || groups[5] == 0xFFFF { return isForbidden(low) }
        if groups[0] == 0x64, groups[1] == 0xFF9B, isForbidden(low) { return true }
        if groups[0] == 0x2002, isForbidden(UInt32(groups[1]) << 16 | UInt32(groups[2])) { return true }
        if groups[0] & 0xFFC0 == 0xFE80 || groups[0] >> 8 == 0xFF { return true }
        return groups == [0xFD00, 0x0EC2, 0, 0, 0, 0, 0, 0x0254]  // fd00:ec2::254, Amazon
    }
}

/// IPv4 as `inet_aton` reads it: one to four parts, each decimal, octal or hexadecimal.
private enum IPv4 {
    static func parse(_ text: Substring) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard (1...4).contains(parts.count) else { return nil }
        var values: [UInt64] = []
        for part in parts {
            guard let value = number(part) else { return nil }
            values.append(value)
        }
        let last = values.removeLast()
        let tailBits = UInt64(32 - 8 * values.count)
        guard last < 1 << tailBits, values.allSatisfy({ $0 < 256 }) else { return nil }
        var address = last
        for (index, value) in values.enumerated() { address |= value << UInt64(24 - 8 * index) }
        return UInt32(address)
    }

    private static func number(_ part: Substring) -> UInt64? {
        guard let first = part.utf8.first, first >= UInt8(ascii: "0"), first <= UInt8(ascii: "9") else { return nil }
        let lowered = part.lowercased()
        if lowered == "0x" { return 0 }
        if lowered.hasPrefix("0x") { return UInt64(lowered.dropFirst(2), radix: 16) }
        if lowered.hasPrefix("0"), lowered.count > 1 { return UInt64(lowered, radix: 8) }
        return UInt64(lowered)
    }
}

/// IPv6 text without a zone.
private enum IPv6 {
    static func parse(_ text: Substring) -> [UInt16]? {
        let halves = text.split(separator: "::", maxSplits: 2, omittingEmptySubsequences: false)
        guard halves.count <= 2, let head = groups(halves[0]) else { return nil }
        guard halves.count == 2 else { return head.count == 8 ? head : nil }
        guard let tail = groups(halves[1]), head.count + tail.count < 8 else { return nil }
        return head + Array(repeating: 0, count: 8 - head.count - tail.count) + tail
    }

    private static func groups(_ text: Substring) -> [UInt16]? {
        guard !text.isEmpty else { return [] }
        var groups: [UInt16] = []
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if part.contains("."), index == parts.count - 1, let address = IPv4.parse(part) {
                groups += [UInt16(address >> 16), UInt16(address & 0xFFFF)]
            } else {
                guard (1...4).contains(part.count), part.allSatisfy(\.isHexDigit), let group = UInt16(part, radix: 16)
                else { return nil }
                groups.append(group)
            }
        }
        return groups.count <= 8 ? groups : nil
    }
}
