// An IPv4 address and port in the kernel's form.

internal import Glibc

/// 127.0.0.1, or another numeric IPv4 address, with a port.
struct LoopbackAddress {
    let raw: sockaddr_in

    init(port: Int, address: in_addr = in_addr(s_addr: UInt32(0x7f00_0001).bigEndian)) {
        var raw = sockaddr_in()
        raw.sin_family = sa_family_t(AF_INET)
        raw.sin_port = UInt16(truncatingIfNeeded: port).bigEndian
        raw.sin_addr = address
        self.raw = raw
    }

    /// - Returns: nil unless the host is `localhost` or four decimal numbers.
    init?(host: String, port: Int) {
        guard (1...65535).contains(port) else { return nil }
        if host == "localhost" {
            self.init(port: port)
            return
        }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard let part else { return nil }
            value = value << 8 | UInt32(part)
        }
        self.init(port: port, address: in_addr(s_addr: value.bigEndian))
    }
}
