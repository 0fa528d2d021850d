// A restored backup forgets which keys were revoked or deleted after it was made. A node that saw it happen goes on
// refusing those keys until an admin has confirmed the new lineage; the list outlives a restart beside the
// last-known-good copies, and is written before them.

internal import Codec
private import Secrets

/// Keys that a node refuses although the snapshot would admit them.
public struct HeldRevocations: Sendable, Equatable {
    /// The most keys that are held; a lineage that asks for more is refused.
    public static let maxKeys = 1_000_000
    /// The file's name, in the directory of the last-known-good copies.
    public static let fileName = "revocations.weir"
    private static let magic: [UInt8] = Array("WEIRREV".utf8)
    private static let format: UInt8 = 1

    /// The lineage that they are held against.
    public var lineage: String
    /// The keys.
    public var keys: Set<KeyID>

    /// Makes a list.
    public init(lineage: String, keys: Set<KeyID>) {
        self.lineage = lineage
        self.keys = keys
    }

    /// What has to be held when `restored` takes the place of a snapshot of another lineage.
    ///
    /// Keys that opened nothing any more: revoked, expired, of a disabled app, or deleted, which is to say older than the
    /// replaced snapshot and not in it. Costs time and memory linear in the keys of both.
    ///
    /// - Parameters:
    ///   - replaced: what was enforced until now.
    ///   - restored: what takes its place.
    ///   - held: keys that were held already.
    ///   - now: the wall clock in milliseconds since the Unix epoch, for keys that had expired.
    /// - Returns: keys that `restored` would admit and that are to be refused.
    public static func needed(
        replacing replaced: EnforcedSnapshot,
        by restored: EnforcedSnapshot,
        held: Set<KeyID>,
        now: Int64
    ) -> Set<KeyID> {
        var needed: Set<KeyID> = []
        restored.forEachKey { key in
            guard key.isUsable(at: now) else { return }
            let isGone: Bool
            if let old = replaced.key(key.keyID) {
                isGone = !old.isUsable(at: now)
            } else {
                isGone = key.createdAt <= replaced.createdAt
            }
            if isGone || held.contains(key.keyID) { needed.insert(key.keyID) }
        }
        return needed
    }

    /// Reads the list; nil when there is none.
    ///
    /// - Throws: `DiskError`, or `SnapshotError` for a file that is not as it was written.
    public static func load(directory: String) throws -> HeldRevocations? {
        guard let file = try DiskReader.open(file: fileName, in: directory) else { return nil }
        let bytes = try file.read(min(file.size, 128 + 16 * maxKeys))
        return try parsing("revocations") { () throws(CodecError) in try read(bytes) }
    }

    /// Writes the list over the one before, and synchronises it.
    public func save(directory: String) throws(DiskError) {
        try Disk.makeDirectory(directory)
        var writer = ByteWriter(reservingCapacity: 128 + 16 * keys.count)
        writer.write(raw: Self.magic)
        writer.write(u8: Self.format)
        writer.write(string: lineage)
        writer.write(varint: UInt64(keys.count))
        for key in keys.sorted(by: { $0.precedes($1) }) { writer.write(raw: key.bytes) }
        writer.write(raw: SHA256.digest(writer.bytes).bytes)
        try Disk.replace(file: Self.fileName, in: directory, withParts: [writer.bytes])
    }

    private static func read(_ bytes: [UInt8]) throws(CodecError) -> HeldRevocations {
        guard bytes.count >= magic.count + 1 + 32 else { throw CodecError(.truncated, offset: 0) }
        let end = bytes.count - 32
        guard SHA256.digest(bytes.span.extracting(0..<end)).bytes == Array(bytes[end...]) else {
            throw CodecError(.invalid, offset: end)
        }
        var reader = ByteReader(bytes)
        guard try reader.raw(count: magic.count) == magic, try reader.u8() == format else {
            throw CodecError(.invalid, offset: 0)
        }
        let lineage = try reader.string(max: 64)
        var keys: Set<KeyID> = []
        for _ in 0..<(try reader.count(max: maxKeys, bytesEach: 16)) {
            let start = reader.offset
            let bytes = try reader.raw(count: 16)
            guard let key = KeyID(ascii: bytes.span) else { throw CodecError(.invalid, offset: start) }
            keys.insert(key)
        }
        guard reader.offset == end else { throw CodecError(.trailingBytes, offset: reader.offset) }
        return HeldRevocations(lineage: lineage, keys: keys)
    }
}
