// What names a snapshot: the pair that Redis announces, nodes report and the gate compares.

/// A version within a history of versions; another history has another lineage.
struct SnapshotIdentity: Equatable, Sendable, CustomStringConvertible {
    /// 32 hex digits.
    let lineage: String
    let version: UInt64

    var description: String { "\(lineage) \(version)" }

    /// Reads `<lineage hex> <version>`, the text that announces a head.
    ///
    /// Anything else is nil: the channel is open to all who reach Redis.
    init?(announcement bytes: [UInt8]) {
        guard bytes.count >= 34, bytes.count <= 53, bytes[32] == UInt8(ascii: " ") else { return nil }
        let lineage = bytes[..<32]
        let isHex = lineage.allSatisfy { byte in
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
        }
        let digits = bytes[33...]
        guard isHex, digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let version = UInt64(String(decoding: digits, as: UTF8.self))
        else { return nil }
        self.init(lineage: String(decoding: lineage, as: UTF8.self), version: version)
    }

    init(lineage: String, version: UInt64) {
        self.lineage = lineage
        self.version = version
    }
}
