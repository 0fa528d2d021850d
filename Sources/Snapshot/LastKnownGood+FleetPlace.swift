// A node's last known place in its fleet, beside the copies: one that starts while all else is down must not take the
// whole of every limit for itself.

extension LastKnownGood {
    private static let placeFile = "fleet-place"

    /// Saves how many nodes live and which of them this one is.
    ///
    /// - Parameters:
    ///   - nodes: nodes that share the limits.
    ///   - rank: this node's index among them.
    /// - Throws: when the disk does not take it.
    public func savePlace(nodes: Int, rank: Int) throws(DiskError) {
        try Disk.makeDirectory(directory)
        try Disk.replace(file: Self.placeFile, in: directory, withParts: [Array("\(nodes) \(rank)\n".utf8)])
    }

    /// What was saved; nil when nothing was, or it makes no sense.
    ///
    /// - Throws: when the disk does not give it.
    public func loadPlace() throws(DiskError) -> (nodes: Int, rank: Int)? {
        guard let bytes = try Disk.read(file: Self.placeFile, in: directory, maxBytes: 64) else { return nil }
        let numbers = bytes.prefix { $0 != UInt8(ascii: "\n") }.split(separator: UInt8(ascii: " ")).map {
            Int(String(decoding: $0, as: UTF8.self)) ?? -1
        }
        guard numbers.count == 2, numbers[0] >= 1, (0..<numbers[0]).contains(numbers[1]) else { return nil }
        return (numbers[0], numbers[1])
    }
}
