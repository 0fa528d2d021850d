// Addresses and networks. Reading is strict, since an address that two programs read differently is a way around a rule:
// no zones, no leading zeros, no IPv4 in the dotted form of IPv6-mapped addresses.

/// Functions on addresses and networks.
enum Networks {
    /// The functions of one value.
    static func call(_ function: Function, _ value: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        try meter.charge(1)
        switch (function, value) {
        case (.toIP, .string(let text)): return .network(try address(text))
        case (.isIP, .string(let text)): return .bool(NetworkText.address(text) != nil)
        case (.isCanonicalIP, .string(let text)):
            return .bool(NetworkText.text(try address(text)).elementsEqual(text.bytes))
        case (.toCIDR, .string(let text)): return .network(try network(text))
        case (.isCIDR, .string(let text)): return .bool(NetworkText.network(text) != nil)
        case (_, .network(let network)):
            guard let prefix = network.prefixLength else { return try ofAddress(function, network) }
            return try ofNetwork(function, network, prefix)
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    /// `containsIP` and `containsCIDR`; the second may be text.
    static func contains(
        _ function: Function,
        _ network: Value,
        _ part: Value,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        try meter.charge(1)
        guard case .network(let network) = network, let prefix = network.prefixLength else {
            throw EvaluationError(.noSuchOverload)
        }
        let other: NetworkValue
        switch part {
        case .string(let text):
            other = function == .containsIP ? try address(text) : try self.network(text)
        case .network(let value) where (value.prefixLength == nil) == (function == .containsIP): other = value
        default: throw EvaluationError(.noSuchOverload)
        }
        guard other.isIPv6 == network.isIPv6, prefix <= other.prefixLength ?? 128 else { return .bool(false) }
        let one = masked(network, prefix)
        let two = masked(other, prefix)
        return .bool(one.high == two.high && one.low == two.low)
    }

    private static func ofAddress(_ function: Function, _ address: NetworkValue) throws(EvaluationError) -> Value {
        switch function {
        case .family: .int(address.isIPv6 ? 6 : 4)
        case .isUnspecified: .bool(address.high == 0 && address.low == 0)
        case .isLoopback: .bool(isLoopback(address))
        case .isLinkLocalMulticast: .bool(isLinkLocalMulticast(address))
        case .isLinkLocalUnicast: .bool(isLinkLocalUnicast(address))
        case .isGlobalUnicast: .bool(isGlobalUnicast(address))
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    private static func ofNetwork(
        _ function: Function,
        _ network: NetworkValue,
        _ prefix: Int
    ) throws(EvaluationError) -> Value {
        switch function {
        case .prefixLength: .int(Int64(prefix))
        case .toIP: .network(NetworkValue(high: network.high, low: network.low, isIPv6: network.isIPv6))
        case .masked: .network(masked(network, prefix))
        default: throw EvaluationError(.noSuchOverload)
        }
    }

    private static func isLoopback(_ address: NetworkValue) -> Bool {
        address.isIPv6 ? address.high == 0 && address.low == 1 : address.low >> 24 == 127
    }

    private static func isLinkLocalMulticast(_ address: NetworkValue) -> Bool {
        // ff02::/16 whatever the flags are; 224.0.0.0/24.
        address.isIPv6 ? address.high >> 48 & 0xFF0F == 0xFF02 : address.low >> 8 == 0xE00000
    }

    private static func isLinkLocalUnicast(_ address: NetworkValue) -> Bool {
        address.isIPv6 ? address.high >> 54 == 0xFE80 >> 6 : address.low >> 16 == 0xA9FE
    }

    /// Private addresses are global unicast, too; this is RFC 4291's term, as Go's `net/netip` takes it.
    private static func isGlobalUnicast(_ address: NetworkValue) -> Bool {
        let isMulticast = address.isIPv6 ? address.high >> 56 == 0xFF : address.low >> 28 == 0xE
        let isBroadcast = !address.isIPv6 && address.low == 0xFFFF_FFFF
        let isUnspecified = address.high == 0 && address.low == 0
        return !isMulticast && !isBroadcast && !isUnspecified && !isLoopback(address) && !isLinkLocalUnicast(address)
    }

    private static func masked(_ network: NetworkValue, _ prefix: Int) -> NetworkValue {
        // Swift's shifts give 0 when they shift everything out.
        let isIPv6 = network.isIPv6
        let high = isIPv6 ? network.high & ~(UInt64.max >> prefix) : 0
        let low =
            isIPv6
            ? network.low & (prefix <= 64 ? 0 : ~(UInt64.max >> (prefix - 64)))
            : network.low & ~(UInt64(UInt32.max) >> prefix)
        return NetworkValue(high: high, low: low, isIPv6: isIPv6, prefixLength: prefix)
    }

    private static func address(_ text: ByteString) throws(EvaluationError) -> NetworkValue {
        guard let address = NetworkText.address(text) else { throw EvaluationError(.malformedText) }
        return address
    }

    private static func network(_ text: ByteString) throws(EvaluationError) -> NetworkValue {
        guard let network = NetworkText.network(text) else { throw EvaluationError(.malformedText) }
        return network
    }
}
