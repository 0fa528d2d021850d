// A usage batch is money: what is read is what was written, or it is refused whole.

import Codec
import Ledger
import Testing

/// SplitMix64: the same numbers for the same seed, on every machine.
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// A record with something in every field.
func record(_ sequence: UInt64) -> UsageRecord {
    UsageRecord(
        sequence: sequence,
        requestID: "req_\(sequence)",
        startedAt: 1_769_000_000_000 + Int64(sequence),
        finishedAt: 1_769_000_000_900 + Int64(sequence),
        organisation: "acme",
        appID: "app_0123456789abcdefghijkl",
        keyID: "k3y0123456789abc",
        model: "gpt-4o",
        providerID: "prv_0123456789abcdefghijkl",
        upstreamModel: "gpt-4o-2024-11-20",
        endpoint: 4,
        status: 429,
        outcome: .refused,
        isStream: true,
        promptTokens: 11,
        completionTokens: 22,
        totalTokens: 33,
        cachedTokens: 4,
        cacheWriteTokens: 5,
        reasoningTokens: 6,
        source: .partial,
        requestBytes: 777,
        responseBytes: 8888,
        latencyMicroseconds: 99_999,
        firstByteMicroseconds: 12_345,
        refusedBy: "pol_0123456789abcdefghijkl",
        reason: "rate_limited",
        snapshotVersion: 42
    )
}

@Suite struct `A usage batch` {
    static let sample = UsageBatch(nodeID: "node-1", bootID: "b00t", records: [record(1), record(2), record(9)])

    /// Rewrites the checksum, so that a change reaches the fields behind it.
    static func sealed(_ bytes: [UInt8]) -> [UInt8] {
        var writer = ByteWriter()
        writer.write(raw: Array(bytes.dropLast(4)))
        writer.write(u32: CRC32C.checksum(writer.bytes))
        return writer.bytes
    }

    @Test func `is read as it was written`() throws {
        #expect(try UsageBatch.decode(Self.sample.encode()) == Self.sample)
        let empty = UsageBatch(nodeID: "", bootID: "", records: [])
        #expect(try UsageBatch.decode(empty.encode()) == empty)
        var plain = record(7)
        plain.refusedBy = nil
        plain.reason = nil
        plain.sequence = .max
        plain.snapshotVersion = .max
        let batch = UsageBatch(nodeID: "n", bootID: "b", records: [plain])
        #expect(try UsageBatch.decode(batch.encode()) == batch)
    }

    /// Pins schemas/usage.md: whoever changes the layout changes the format's number too.
    @Test func `has the bytes that the schema shows`() {
        let record = UsageRecord(
            sequence: 1,
            requestID: "r",
            startedAt: 300,
            finishedAt: 301,
            endpoint: 2,
            status: 200,
            outcome: .completed,
            promptTokens: 5,
            source: .provider,
            reason: "x"
        )
        let bytes = UsageBatch(nodeID: "n", bootID: "b", records: [record]).encode()
        #expect(
            Array(bytes.dropLast(4))
                == Array("WEIRUSE".utf8) + [2, 1, 0x6E, 1, 0x62, 1]
                + [1, 1, 0x72, 0xAC, 2, 0xAD, 2, 0, 0, 0, 0, 0, 0, 2, 0xC8, 1, 0, 0, 0]
                + [5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0x78, 0, 0]
        )
    }

    @Test func `of the format before is read, and of no other`() throws {
        func batch(_ format: UInt8) -> [UInt8] {
            var bytes = Array("WEIRUSE".utf8) + [format, 1, 0x6E, 1, 0x62, 1]
            bytes += [1, 1, 0x72, 0xAC, 2, 0xAD, 2, 0, 0, 0, 0, 0, 0, 2, 0xC8, 1, 0, 0, 0]
            bytes += [5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0x78, 0]
            let checksum = CRC32C.checksum(bytes)
            return bytes + (0..<4).map { UInt8(truncatingIfNeeded: checksum >> (8 * $0)) }
        }
        let old = try #require(try UsageBatch.decode(batch(1)).records.first)
        #expect(old.reason == "x" && old.explanation == nil)
        for format in [0, 2, 3] as [UInt8] {
            #expect(throws: CodecError.self) { try UsageBatch.decode(batch(format)) }
        }
    }

    @Test func `leaves out an explanation that is too long, and no other`() throws {
        var explained = record(1)
        for (count, isKept) in [(2_048, true), (2_049, false), (0, true)] {
            explained.explanation = String(repeating: "x", count: count)
            let batch = UsageBatch(nodeID: "n", bootID: "b", records: [explained])
            #expect(
                try UsageBatch.decode(batch.encode()).records.first?.explanation
                    == (isKept ? explained.explanation : nil)
            )
        }
    }

    @Test func `cuts what is outside its bounds instead of being unreadable`() throws {
        var odd = record(1)
        odd.promptTokens = -5
        odd.completionTokens = .max
        odd.responseBytes = .min
        odd.startedAt = -1
        odd.finishedAt = .max
        odd.requestID = String(repeating: "r", count: 200)
        odd.model = String(repeating: "é", count: 127) + "x\u{1F600}"  // 255 bytes, then one scalar of four
        odd.reason = "a\u{0}b\u{0}"
        let back = try #require(
            try UsageBatch.decode(UsageBatch(nodeID: "n", bootID: "b", records: [odd]).encode()).records.first
        )
        #expect(back.promptTokens == 0)
        #expect(back.completionTokens == UsageRecord.maxFigure)
        #expect(back.responseBytes == 0)
        #expect(back.startedAt == 0)
        #expect(back.finishedAt == UsageRecord.maxMilliseconds)
        #expect(back.requestID == String(repeating: "r", count: 128))
        #expect(back.model == String(repeating: "é", count: 127) + "x")
        #expect(back.reason == "ab")
    }

    @Test func `is refused when its checksum does not fit`() {
        var bytes = Self.sample.encode()
        bytes[bytes.count - 1] ^= 1
        #expect(throws: CodecError(.invalid, offset: bytes.count - 4)) { try UsageBatch.decode(bytes) }
    }

    @Test func `is refused for every flipped bit`() {
        let bytes = Self.sample.encode()
        for index in bytes.indices {
            for bit in 0..<8 {
                var flipped = bytes
                flipped[index] ^= 1 << UInt8(bit)
                #expect(throws: CodecError.self) { try UsageBatch.decode(flipped) }
            }
        }
    }

    @Test func `is refused at every shorter length, and at any longer one`() {
        let bytes = Self.sample.encode()
        for count in 0..<bytes.count {
            #expect(throws: CodecError.self) { try UsageBatch.decode(Array(bytes.prefix(count))) }
            #expect(throws: CodecError.self) { try UsageBatch.decode(Self.sealed(Array(bytes.prefix(count)))) }
        }
        #expect(throws: CodecError.self) { try UsageBatch.decode(bytes + [0]) }
        let longer = Self.sealed(Array(bytes.dropLast(4)) + [0, 0, 0, 0, 0])
        #expect(throws: CodecError(.trailingBytes, offset: bytes.count - 4)) { try UsageBatch.decode(longer) }
    }

    @Test func `is refused when a count or a length claims more than there is`() {
        for count in [UInt64(4), 4096, 4097, 1 << 32, .max] {
            var writer = ByteWriter()
            writer.write(raw: Array("WEIRUSE".utf8) + [1])
            writer.write(string: "n")
            writer.write(string: "b")
            writer.write(varint: count)
            writer.write(raw: [0, 0, 0, 0])
            #expect(throws: CodecError.self) { try UsageBatch.decode(Self.sealed(writer.bytes)) }
        }
        #expect(throws: CodecError(.tooLong, offset: 0)) {
            try UsageBatch.decode([UInt8](repeating: 0, count: UsageBatch.maxBytes + 1))
        }
    }

    @Test func `is refused when a sequence comes twice or goes back`() {
        // The third record's sequence is 9: written as 2 it repeats, as 1 it goes back.
        var bytes = Self.sample.encode()
        let third = Self.offset(ofRecord: 2)
        #expect(bytes[third] == 9)
        for sequence in [2, 1] as [UInt8] {
            bytes[third] = sequence
            #expect(throws: CodecError(.invalid, offset: third)) { try UsageBatch.decode(Self.sealed(bytes)) }
        }
        bytes[third] = 3
        #expect(throws: Never.self) { try UsageBatch.decode(Self.sealed(bytes)) }
    }

    /// Where a record begins: the length of a batch with only those before it, without its checksum.
    static func offset(ofRecord index: Int) -> Int {
        UsageBatch(nodeID: sample.nodeID, bootID: sample.bootID, records: Array(sample.records.prefix(index)))
            .encode().count - 4
    }

    @Test(arguments: 0..<300 as Range<UInt64>)
    func `survives any mutation, and what it accepts is within bounds`(seed: UInt64) throws {
        var random = Seeded(state: seed)
        for _ in 0..<20 {
            var bytes = Self.sample.encode()
            for _ in 0..<Int.random(in: 1...6, using: &random) where bytes.count > 5 {
                let index = Int.random(in: 0..<bytes.count - 4, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes[index] = [0, 1, 0x7F, 0x80, 0xFF][Int.random(in: 0..<5, using: &random)]
                case 2: bytes.insert(UInt8.random(in: 0...255, using: &random), at: index)
                default: bytes.removeSubrange(index..<min(bytes.count - 4, index + 3))
                }
            }
            do throws(CodecError) {
                let batch = try UsageBatch.decode(Self.sealed(bytes))
                // One form for each content: what was accepted is written back as the same bytes.
                #expect(batch.encode() == Self.sealed(bytes))
                #expect(batch.records.allSatisfy { $0.totalTokens >= 0 && $0.totalTokens <= UsageRecord.maxFigure })
            } catch {
                #expect(error.offset <= bytes.count)
            }
        }
    }

    @Test func `fits its size at the most records and the longest texts`() throws {
        var queue = UsageQueue(nodeID: String(repeating: "n", count: 128), bootID: String(repeating: "b", count: 128))
        var big = record(0)
        for field in [\UsageRecord.organisation, \.appID, \.keyID, \.model, \.providerID, \.upstreamModel, \.requestID]
        {
            big[keyPath: field] = String(repeating: "m", count: 5000)
        }
        big.promptTokens = .max
        for _ in 0..<5000 {
            queue.append(big)
        }
        let batch = try #require(queue.makeBatch())
        let bytes = batch.encode()
        #expect(batch.records.count > 1000 && bytes.count <= UsageBatch.maxBytes)
        #expect(try UsageBatch.decode(bytes).records.count == batch.records.count)
    }
}
