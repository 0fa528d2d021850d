// Where the parts of a development stack listen: offsets from one base, so that a person has one number to change and
// two stacks with bases 20 apart never meet.

/// The ports of one stack.
struct DevPorts: Equatable {
    static let maxGateways = 16

    let gateways: [Int]
    let control: Int
    let redis: Int
    let postgres: Int
    let upstream: Int

    /// - Returns: nil when there are too many gateways or the ports would leave 1024...65535.
    init?(base: Int, gateways count: Int) {
        guard (1...Self.maxGateways).contains(count), base >= 1024, base + 19 <= 65_535 else { return nil }
        gateways = (0..<count).map { base + $0 }
        control = base + 16
        redis = base + 17
        postgres = base + 18
        upstream = base + 19
    }

    /// Every port with the part that wants it.
    func named(withUpstream: Bool) -> [(port: Int, part: String)] {
        gateways.enumerated().map { ($1, "gateway-\($0 + 1)") }
            + [(control, "control"), (redis, "redis"), (postgres, "postgres")]
            + (withUpstream ? [(upstream, "demo-upstream")] : [])
    }
}
