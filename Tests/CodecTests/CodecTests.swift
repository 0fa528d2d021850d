// The codec's two promises: what is written is read back the same, and no input traps or is read as more than it is.

import Codec
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

@Suite struct `A byte writer` {
    @Test func `writes the bytes that the layouts name`() {
        var writer = ByteWriter(reservingCapacity: 0)
        writer.write(u8: 0xAB)
        writer.write(u32: 0x0102_0304)
        writer.write(u64: 0x0102_0304_0506_0708)
        writer.write(varint: 300)
        writer.write(signed: -2)
        writer.write(bool: true)
        writer.write(bytes: [9, 8])
        writer.write(string: "é")
        writer.write(raw: [7])
        #expect(
            writer.bytes == [
                0xAB, 4, 3, 2, 1, 8, 7, 6, 5, 4, 3, 2, 1, 0xAC, 0x02, 3, 1, 2, 9, 8, 2, 0xC3, 0xA9, 7,
            ]
        )
    }
}

@Suite struct `A byte reader` {
    static let edges: [UInt64] =
        [0, UInt64.max, UInt64(Int64.max), 1 << 63] + (1..<64).flatMap { [(1 << $0) - 1, 1 << $0] }

    @Test(arguments: edges) func `reads back every integer`(value: UInt64) throws {
        var writer = ByteWriter()
        writer.write(varint: value)
        writer.write(signed: Int64(bitPattern: value))
        writer.write(u64: value)
        writer.write(u32: UInt32(truncatingIfNeeded: value))
        var reader = ByteReader(writer.bytes)
        #expect(try reader.varint() == value)
        #expect(try reader.signed() == Int64(bitPattern: value))
        #expect(try reader.u64() == value)
        #expect(try reader.u32() == UInt32(truncatingIfNeeded: value))
        try reader.expectEnd()
    }

    @Test(
        arguments: [
            [0x80, 0x00],  // 0 in two bytes
            [0xFF, 0x80, 0x00],  // 127 in three
            [UInt8](repeating: 0xFF, count: 9) + [0x02],  // 65 bits
            [UInt8](repeating: 0x80, count: 10) + [0x01],  // eleven bytes
        ] as [[UInt8]]
    )
    func `refuses a varint that is not the one form of its value`(bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        #expect(throws: CodecError(.invalid, offset: 0)) { try reader.varint() }
        #expect(reader.offset == 0)
    }

    @Test func `refuses what is truncated, and says where the field began`() {
        var reader = ByteReader([1, 0x85, 1, 2])
        #expect(throws: Never.self) { try reader.u8() }
        #expect(throws: CodecError(.truncated, offset: 1)) { try reader.u32() }
        #expect(throws: CodecError(.truncated, offset: 1)) { try reader.u64() }
        #expect(throws: CodecError(.truncated, offset: 1)) { try reader.bytes(max: 1000) }
        #expect(throws: CodecError(.tooLong, offset: 1)) { try reader.bytes(max: 10) }
        #expect(throws: CodecError(.truncated, offset: 1)) { try reader.raw(count: 4) }
        #expect(throws: CodecError(.truncated, offset: 1)) { try reader.raw(count: -1) }
        #expect(throws: CodecError(.truncated, offset: 1)) { try reader.count(max: 1000) }
        #expect(throws: CodecError(.trailingBytes, offset: 1)) { try reader.expectEnd() }
        var empty = ByteReader([])
        #expect(throws: CodecError(.truncated, offset: 0)) { try empty.u8() }
        #expect(throws: CodecError(.truncated, offset: 0)) { try empty.varint() }
    }

    @Test func `refuses a length of almost 2⁶⁴ without adding to it`() {
        var writer = ByteWriter()
        writer.write(varint: .max)
        for max in [0, 1, Int.max] {
            var reader = ByteReader(writer.bytes)
            #expect(throws: CodecError.self) { try reader.bytes(max: max) }
            #expect(throws: CodecError.self) { try reader.string(max: max) }
            #expect(throws: CodecError.self) { try reader.count(max: max) }
            #expect(reader.offset == 0)
        }
    }

    @Test func `refuses a count that the rest cannot hold`() {
        var reader = ByteReader([3, 0, 0, 0, 0, 0])
        #expect(throws: CodecError(.truncated, offset: 0)) { try reader.count(max: 10, bytesEach: 2) }
        #expect(throws: CodecError(.tooLong, offset: 0)) { try reader.count(max: 2) }
        #expect(throws: Never.self) { try reader.count(max: 3) }
    }

    @Test(arguments: [[0xC3], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xFF]] as [[UInt8]])
    func `refuses text that is not UTF-8`(bytes: [UInt8]) {
        var writer = ByteWriter()
        writer.write(bytes: bytes)
        var reader = ByteReader(writer.bytes)
        #expect(throws: CodecError(.invalid, offset: 0)) { try reader.string(max: 100) }
    }

    @Test func `refuses a bool that is neither 0 nor 1`() {
        var reader = ByteReader([2])
        #expect(throws: CodecError(.invalid, offset: 0)) { try reader.bool() }
    }

    @Test func `starts at the end when told to start outside`() {
        #expect(ByteReader([1, 2], from: 3).remaining == 0)
        #expect(ByteReader([1, 2], from: -1).remaining == 0)
        #expect(ByteReader([1, 2], from: 1).remaining == 1)
    }

    @Test(arguments: 0..<200 as Range<UInt64>)
    func `never traps and never leaves its input, whatever it is asked`(seed: UInt64) {
        var random = Seeded(state: seed)
        let bytes = (0..<Int.random(in: 0...64, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
        var reader = ByteReader(bytes)
        for _ in 0..<64 {
            let before = reader.offset
            let max = Bool.random(using: &random) ? Int.random(in: 0...40, using: &random) : .max
            do throws(CodecError) {
                switch Int.random(in: 0..<9, using: &random) {
                case 0: _ = try reader.u8()
                case 1: _ = try reader.u32()
                case 2: _ = try reader.u64()
                case 3: _ = try reader.varint()
                case 4: _ = try reader.signed()
                case 5: _ = try reader.bool()
                case 6: #expect(try reader.bytes(max: max).count <= bytes.count)
                case 7: #expect(try reader.string(max: max).utf8.count <= bytes.count)
                default: #expect(try reader.count(max: max) <= reader.remaining)
                }
            } catch {
                #expect(reader.offset == before && error.offset == before)
            }
            #expect(reader.offset <= bytes.count && reader.remaining >= 0)
        }
    }
}

@Suite struct `The Castagnoli CRC` {
    // RFC 3720 §B.4; the last is the check value of the CRC catalogue.
    @Test(
        arguments: [
            ([UInt8](repeating: 0, count: 32), 0x8A91_36AA),
            ([UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43),
            ([UInt8](0..<32), 0x46DD_794E),
            ([UInt8]((0..<32).reversed()), 0x113F_DB5C),
            (Array("123456789".utf8), 0xE306_9283),
            ([], 0),
        ] as [([UInt8], UInt32)]
    )
    func `matches the published vectors`(bytes: [UInt8], expected: UInt32) {
        #expect(CRC32C.checksum(bytes) == expected)
    }
}
