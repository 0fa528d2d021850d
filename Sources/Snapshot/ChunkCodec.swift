// Routes and leaves as bytes (schemas/snapshot.md §3). Records stand in the order of their ids, each in the leaf of its
// id's hash, so that equal content gives equal bytes, and an id can't be there twice.

internal import Codec
internal import Policy
internal import Secrets

enum ChunkCodec {
    /// Of routes 2, since models say what is known of their tokens; of the others 1.
    static func format(of kind: ChunkKind) -> UInt8 { kind == .routes ? 2 : 1 }

    // MARK: Writing

    static func routes(_ providers: [ProviderRecord], _ models: [ModelRecord]) -> [UInt8] {
        var writer = begin(.routes)
        writer.write(varint: UInt64(providers.count))
        for provider in providers.sorted(by: { precedes($0.id, $1.id) }) {
            writer.write(string: provider.id)
            writer.write(string: provider.name)
            writer.write(u8: provider.kind.rawValue)
            writer.write(string: provider.baseURL)
            writer.write(bool: provider.sealedCredential != nil)
            if let credential = provider.sealedCredential {
                writer.write(bytes: credential)
            }
            writer.write(bool: provider.injectsStreamUsage)
        }
        writer.write(varint: UInt64(models.count))
        for model in models.sorted(by: { precedes($0.name, $1.name) }) {
            writer.write(string: model.name)
            writer.write(bool: model.maxOutputTokens != nil)
            if let tokens = model.maxOutputTokens { writer.write(varint: UInt64(clamping: tokens)) }
            writer.write(bool: model.encoding != nil)
            if let encoding = model.encoding { writer.write(string: encoding) }
            writer.write(varint: UInt64(model.routes.count))
            for route in model.routes {
                writer.write(string: route.providerID)
                writer.write(string: route.upstreamModel)
                writer.write(varint: UInt64(route.weight))
            }
        }
        return writer.bytes
    }

    /// A leaf of records in the order of their ids.
    static func leaf(_ kind: ChunkKind, _ records: [[UInt8]]) -> [UInt8] {
        var writer = begin(kind)
        writer.write(varint: UInt64(records.count))
        for record in records { writer.write(raw: record) }
        return writer.bytes
    }

    /// A policy as a leaf holds it.
    static func record(_ policy: PolicyRecord) -> EncodedRecord {
        var writer = ByteWriter(reservingCapacity: 128 + policy.program.count)
        writer.write(string: policy.id)
        writer.write(string: policy.name)
        writer.write(string: policy.kind)
        switch policy.scope {
        case .global: writer.write(u8: 0)
        case .app(let id):
            writer.write(u8: 1)
            writer.write(string: id)
        case .key(let id):
            writer.write(u8: 2)
            write(id, to: &writer)
        }
        writer.write(u8: policy.mode.rawValue)
        writer.write(u8: policy.onError.rawValue)
        writer.write(bool: policy.priority != nil)
        if let priority = policy.priority {
            writer.write(signed: Int64(priority))
        }
        writer.write(signed: policy.createdAt)
        writer.write(varint: policy.sequence)
        writer.write(bytes: policy.program)
        return EncodedRecord(id: policy.id, bytes: writer.bytes)
    }

    /// An app with its keys as a leaf holds it.
    static func record(_ app: AppRecord) -> EncodedRecord {
        var writer = ByteWriter(reservingCapacity: 128 + 128 * app.keys.count)
        writer.write(string: app.id)
        writer.write(string: app.name)
        writer.write(string: app.organisation)
        writer.write(string: app.tier)
        write(app.tags, to: &writer)
        writer.write(bool: app.isEnabled)
        writer.write(varint: UInt64(app.keys.count))
        for key in app.keys.sorted(by: { $0.id.precedes($1.id) }) {
            write(key.id, to: &writer)
            writer.write(string: key.name)
            writer.write(raw: key.digest.bytes)
            write(key.tags, to: &writer)
            writer.write(signed: key.createdAt)
            writer.write(bool: key.expiresAt != nil)
            if let expiresAt = key.expiresAt {
                writer.write(signed: expiresAt)
            }
            writer.write(bool: key.isRevoked)
        }
        return EncodedRecord(id: app.id, bytes: writer.bytes)
    }

    private static func begin(_ kind: ChunkKind) -> ByteWriter {
        var writer = ByteWriter(reservingCapacity: 4096)
        writer.write(u8: kind.rawValue)
        writer.write(u8: format(of: kind))
        return writer
    }

    private static func write(_ id: KeyID, to writer: inout ByteWriter) {
        writer.write(u64: id.first)
        writer.write(u64: id.second)
    }

    private static func write(_ tags: [String], to writer: inout ByteWriter) {
        writer.write(varint: UInt64(tags.count))
        for tag in tags {
            writer.write(string: tag)
        }
    }

    // MARK: Reading

    static func readRoutes(_ bytes: [UInt8]) throws(CodecError) -> ([ProviderRecord], [ModelRecord]) {
        var reader = try begin(bytes, .routes)
        var providers: [ProviderRecord] = []
        for _ in 0..<(try reader.count(max: SnapshotBounds.maxProviders, bytesEach: 6)) {
            let start = reader.offset
            let id = try self.id(from: &reader)
            try require(providers.last.map { precedes($0.id, id) } ?? true, at: start)
            let name = try reader.string(max: SnapshotBounds.maxNameBytes)
            let kind = try value(from: &reader) { ProviderKind(rawValue: $0) }
            let baseURL = try reader.string(max: SnapshotBounds.maxURLBytes)
            let credential = try reader.bool() ? reader.bytes(max: SnapshotBounds.maxCredentialBytes) : nil
            providers.append(
                ProviderRecord(
                    id: id,
                    name: name,
                    kind: kind,
                    baseURL: baseURL,
                    sealedCredential: credential,
                    injectsStreamUsage: try reader.bool()
                )
            )
        }
        var models: [ModelRecord] = []
        for _ in 0..<(try reader.count(max: SnapshotBounds.maxModels, bytesEach: 5)) {
            let start = reader.offset
            let name = try reader.string(max: SnapshotBounds.maxNameBytes)
            try require(!name.isEmpty && models.last.map { precedes($0.name, name) } ?? true, at: start)
            let maxOutputTokens = try reader.bool() ? outputTokens(from: &reader) : nil
            let encoding = try reader.bool() ? reader.string(max: SnapshotBounds.maxEncodingBytes) : nil
            var routes: [RouteRecord] = []
            for _ in 0..<(try reader.count(max: SnapshotBounds.maxRoutes, bytesEach: 3)) {
                let providerID = try id(from: &reader)
                let upstreamModel = try reader.string(max: SnapshotBounds.maxNameBytes)
                let weightOffset = reader.offset
                let weight = try reader.varint()
                try require(weight <= UInt64(SnapshotBounds.maxWeight), at: weightOffset)
                routes.append(
                    RouteRecord(providerID: providerID, upstreamModel: upstreamModel, weight: UInt32(weight))
                )
            }
            models.append(
                ModelRecord(name: name, routes: routes, maxOutputTokens: maxOutputTokens, encoding: encoding)
            )
        }
        try reader.expectEnd()
        return (providers, models)
    }

    private static func outputTokens(from reader: inout ByteReader) throws(CodecError) -> Int64 {
        let start = reader.offset
        let tokens = try reader.varint()
        try require((1...SnapshotBounds.maxOutputTokens).contains(tokens), at: start)
        return Int64(tokens)
    }

    /// A record of a leaf and where its bytes are.
    struct Slice<Record> {
        let record: Record
        let range: Range<Int>
    }

    /// The policies of one leaf.
    static func readPolicies(_ bytes: [UInt8], at place: TreePlace) throws(CodecError) -> [Slice<PolicyRecord>] {
        try readLeaf(bytes, .policies, at: place, bytesEach: 10, \.id) { reader throws(CodecError) in
            let id = try self.id(from: &reader)
            let name = try reader.string(max: SnapshotBounds.maxNameBytes)
            let kind = try reader.string(max: SnapshotBounds.maxNameBytes)
            let scope = try scope(from: &reader)
            let mode = try value(from: &reader) { RuleMode(rawValue: $0) }
            let onError = try value(from: &reader) { RuleErrorChoice(rawValue: $0) }
            let priority = try reader.bool() ? priority(from: &reader) : nil
            return PolicyRecord(
                id: id,
                name: name,
                kind: kind,
                scope: scope,
                mode: mode,
                onError: onError,
                priority: priority,
                createdAt: try reader.signed(),
                sequence: try reader.varint(),
                program: try reader.bytes(max: SnapshotBounds.maxProgramBytes)
            )
        }
    }

    /// The apps of one leaf.
    static func readApps(_ bytes: [UInt8], at place: TreePlace) throws(CodecError) -> [Slice<AppRecord>] {
        try readLeaf(bytes, .apps, at: place, bytesEach: 8, \.id) { reader throws(CodecError) in
            let id = try self.id(from: &reader)
            let name = try reader.string(max: SnapshotBounds.maxNameBytes)
            let organisation = try reader.string(max: SnapshotBounds.maxNameBytes)
            let tier = try reader.string(max: SnapshotBounds.maxNameBytes)
            let tags = try tags(from: &reader)
            let isEnabled = try reader.bool()
            return AppRecord(
                id: id,
                name: name,
                organisation: organisation,
                tier: tier,
                tags: tags,
                isEnabled: isEnabled,
                keys: try keys(from: &reader)
            )
        }
    }

    /// The ids of a leaf's records and where their bytes are, whatever the kind.
    static func slices(
        _ bytes: [UInt8],
        kind: ChunkKind,
        at place: TreePlace
    ) throws(CodecError) -> [(id: String, range: Range<Int>)] {
        switch kind {
        case .routes: []
        case .policies: try readPolicies(bytes, at: place).map { ($0.record.id, $0.range) }
        case .apps: try readApps(bytes, at: place).map { ($0.record.id, $0.range) }
        }
    }

    private static func readLeaf<Record>(
        _ bytes: [UInt8],
        _ kind: ChunkKind,
        at place: TreePlace,
        bytesEach: Int,
        _ id: (Record) -> String,
        _ read: (inout ByteReader) throws(CodecError) -> Record
    ) throws(CodecError) -> [Slice<Record>] {
        var reader = try begin(bytes, kind)
        let count = try reader.count(max: .max, bytesEach: bytesEach)
        var slices: [Slice<Record>] = []
        slices.reserveCapacity(count)
        for _ in 0..<count {
            let start = reader.offset
            let record = try read(&reader)
            try require(slices.last.map { precedes(id($0.record), id(record)) } ?? true, at: start)
            try require(place.holds(FNV1a.hash(id(record))), at: start)
            slices.append(Slice(record: record, range: start..<reader.offset))
        }
        try reader.expectEnd()
        return slices
    }

    private static func keys(from reader: inout ByteReader) throws(CodecError) -> [KeyRecord] {
        // 16 bytes of id, 32 of digest, and at least one each of name, tags, time and two flags.
        let count = try reader.count(max: SnapshotBounds.maxKeysPerApp, bytesEach: 53)
        var keys: [KeyRecord] = []
        keys.reserveCapacity(count)
        for _ in 0..<count {
            let start = reader.offset
            let id = try keyID(from: &reader)
            try require(keys.last.map { $0.id.precedes(id) } ?? true, at: start)
            let name = try reader.string(max: SnapshotBounds.maxNameBytes)
            let digestOffset = reader.offset
            guard let digest = Digest(bytes: try reader.raw(count: 32)) else {
                throw CodecError(.invalid, offset: digestOffset)
            }
            let tags = try tags(from: &reader)
            let createdAt = try reader.signed()
            let expiresAt = try reader.bool() ? reader.signed() : nil
            keys.append(
                KeyRecord(
                    id: id,
                    name: name,
                    digest: digest,
                    tags: tags,
                    createdAt: createdAt,
                    expiresAt: expiresAt,
                    isRevoked: try reader.bool()
                )
            )
        }
        return keys
    }

    private static func begin(_ bytes: [UInt8], _ kind: ChunkKind) throws(CodecError) -> ByteReader {
        var reader = ByteReader(bytes)
        guard try reader.u8() == kind.rawValue, try reader.u8() == format(of: kind) else {
            throw CodecError(.invalid, offset: 0)
        }
        return reader
    }

    private static func id(from reader: inout ByteReader) throws(CodecError) -> String {
        let start = reader.offset
        let id = try reader.string(max: SnapshotBounds.maxIDBytes)
        try require(SnapshotBounds.isID(id), at: start)
        return id
    }

    private static func keyID(from reader: inout ByteReader) throws(CodecError) -> KeyID {
        let start = reader.offset
        guard let id = KeyID(first: try reader.u64(), second: try reader.u64()) else {
            throw CodecError(.invalid, offset: start)
        }
        return id
    }

    private static func scope(from reader: inout ByteReader) throws(CodecError) -> PolicyScope {
        let start = reader.offset
        switch try reader.u8() {
        case 0: return .global
        case 1: return .app(try id(from: &reader))
        case 2: return .key(try keyID(from: &reader))
        default: throw CodecError(.invalid, offset: start)
        }
    }

    private static func priority(from reader: inout ByteReader) throws(CodecError) -> Int32 {
        let start = reader.offset
        guard let priority = Int32(exactly: try reader.signed()) else { throw CodecError(.invalid, offset: start) }
        return priority
    }

    private static func tags(from reader: inout ByteReader) throws(CodecError) -> [String] {
        let count = try reader.count(max: SnapshotBounds.maxTags)
        var tags: [String] = []
        tags.reserveCapacity(count)
        for _ in 0..<count {
            tags.append(try reader.string(max: SnapshotBounds.maxTagBytes))
        }
        return tags
    }

    /// One byte that stands for a case.
    private static func value<Value>(
        from reader: inout ByteReader,
        _ make: (UInt8) -> Value?
    ) throws(CodecError) -> Value {
        let start = reader.offset
        guard let value = make(try reader.u8()) else { throw CodecError(.invalid, offset: start) }
        return value
    }

    private static func require(_ condition: Bool, at offset: Int) throws(CodecError) {
        guard condition else { throw CodecError(.invalid, offset: offset) }
    }
}
