// Programs as bytes: the control plane writes them into snapshots, nodes read them without compiling anything. The bytes
// are read as if an attacker had made them; what comes out went through the verifier.
//
//     u8 version (1) │ u64 fingerprint of the environment │ varint locals
//     count, constants │ count, patterns │ count of sets: each u8 kind, varint length of the list, count, texts or signed varints
//     count of segments but the first: each where it begins
//     count, instructions: u8 operation, then the operands that it has, as varints │ the offsets, each less the one before
//
// Varints have their shortest form only, so that a program has one encoding.

import Codec

/// Why bytes are no program.
public enum ProgramDecodeError: Error, Equatable, Sendable {
    /// Cut short, too long, or no encoding of a program: bytes from the start.
    case malformed(offset: Int)
    /// Written by a newer or older Weir.
    case unknownVersion(UInt8)
    /// Compiled against other variables or functions than this build has.
    case otherEnvironment
    /// The instructions leave their bounds: the instruction's place.
    case unsound(position: Int)
}

extension Program {
    private static let version: UInt8 = 1

    /// The program's bytes.
    ///
    /// - Parameter environment: the one that it was compiled for; only a node with the same will take the program.
    /// - Returns: the one encoding that the program has.
    public func encoded(for environment: Environment) -> [UInt8] {
        var writer = ByteWriter(reservingCapacity: 32 + 8 * code.count)
        writer.write(u8: Self.version)
        writer.write(u64: environment.fingerprint)
        writer.write(varint: UInt64(localCount))
        writer.write(varint: UInt64(constants.count))
        for constant in constants { ConstantCodec.write(constant, to: &writer) }
        writer.write(varint: UInt64(patterns.count))
        for pattern in patterns { writer.write(bytes: pattern.text.bytes) }
        writer.write(varint: UInt64(sets.count))
        for set in sets { set.write(to: &writer) }
        writer.write(varint: UInt64(segments.count - 1))
        for start in segments.dropFirst() { writer.write(varint: UInt64(start)) }
        writer.write(varint: UInt64(code.count))
        for instruction in code {
            writer.write(u8: instruction.operation.rawValue)
            let has = instruction.operation.operands
            if has.a { writer.write(varint: UInt64(instruction.a)) }
            if has.b { writer.write(varint: UInt64(instruction.b)) }
            if has.c { writer.write(varint: UInt64(instruction.c)) }
        }
        var previous: Int64 = 0
        for instruction in code {
            writer.write(signed: Int64(instruction.offset) - previous)
            previous = Int64(instruction.offset)
        }
        return writer.bytes
    }

    /// Reads a program from bytes that may be anybody's.
    ///
    /// - Parameters:
    ///   - bytes: the encoding, all of it.
    ///   - environment: the environment that it must have been compiled for.
    /// - Returns: a program that stays inside its bounds whatever it computes.
    /// - Throws: why the bytes are no such program.
    public static func decode(_ bytes: [UInt8], for environment: Environment) throws(ProgramDecodeError) -> Program {
        guard bytes.count <= ProgramBounds.maxBytes else { throw .malformed(offset: ProgramBounds.maxBytes) }
        var reader = ByteReader(bytes)
        let parts: ProgramParts
        do throws(CodecError) {
            let version = try reader.u8()
            guard version == Self.version else { throw CodecError(.invalid, offset: -1) }
            guard try reader.u64() == environment.fingerprint else { throw CodecError(.invalid, offset: -2) }
            parts = try Self.parts(&reader, bytes)
        } catch {
            switch error.offset {
            case -1: throw .unknownVersion(bytes[0])
            case -2: throw .otherEnvironment
            default: throw .malformed(offset: error.offset)
            }
        }
        do throws(VerifyError) {
            return try Verifier.verify(parts, variableCount: environment.variables.count)
        } catch {
            throw .unsound(position: error.position)
        }
    }

    private static func parts(_ reader: inout ByteReader, _ bytes: [UInt8]) throws(CodecError) -> ProgramParts {
        var parts = ProgramParts()
        parts.localCount = try reader.integer(max: ProgramBounds.maxSlots)
        var count = try reader.count(max: ProgramBounds.maxConstants)
        parts.constants.reserveCapacity(count)
        for _ in 0..<count { parts.constants.append(try ConstantCodec.read(&reader, of: bytes)) }
        for _ in 0..<(try reader.count(max: ProgramBounds.maxPatterns)) {
            parts.patterns.append(LazyRegex(ByteString(bytes, in: try reader.slice(max: Regex.maxPatternBytes))))
        }
        for _ in 0..<(try reader.count(max: ProgramBounds.maxSets)) {
            parts.sets.append(try LookupSet(&reader, of: bytes))
        }
        parts.segments = [0]
        for _ in 0..<(try reader.count(max: ProgramBounds.maxSegments - 1)) {
            parts.segments.append(try reader.integer(max: ProgramBounds.maxInstructions))
        }
        count = try reader.count(max: ProgramBounds.maxInstructions, bytesEach: 2)
        parts.code.reserveCapacity(count)
        for _ in 0..<count { parts.code.append(try instruction(&reader)) }
        var previous: Int64 = 0
        for index in 0..<count {
            let start = reader.offset
            let (offset, overflows) = previous.addingReportingOverflow(try reader.signed())
            guard !overflows, let exact = UInt32(exactly: offset) else { throw CodecError(.invalid, offset: start) }
            parts.code[index].offset = exact
            previous = offset
        }
        try reader.expectEnd()
        return parts
    }

    private static func instruction(_ reader: inout ByteReader) throws(CodecError) -> Instruction {
        let start = reader.offset
        guard let operation = Operation(rawValue: try reader.u8()) else { throw CodecError(.invalid, offset: start) }
        var instruction = Instruction(operation: operation)
        let has = operation.operands
        if has.a { instruction.a = UInt16(try reader.integer(max: Int(UInt16.max))) }
        if has.b { instruction.b = UInt32(try reader.integer(max: Int(UInt32.max))) }
        if has.c { instruction.c = UInt32(try reader.integer(max: Int(UInt32.max))) }
        return instruction
    }
}

extension LookupSet {
    fileprivate func write(to writer: inout ByteWriter) {
        switch elements {
        case .strings(let strings):
            writer.write(u8: 0)
            writer.write(varint: UInt64(listCount))
            writer.write(varint: UInt64(strings.count))
            for string in strings { writer.write(bytes: string.bytes) }
        case .integers(let integers):
            writer.write(u8: 1)
            writer.write(varint: UInt64(listCount))
            writer.write(varint: UInt64(integers.count))
            for integer in integers { writer.write(signed: integer) }
        }
    }

    fileprivate init(_ reader: inout ByteReader, of bytes: [UInt8]) throws(CodecError) {
        let start = reader.offset
        let kind = try reader.u8()
        let listCount = try reader.integer(max: ProgramBounds.maxConstants)
        let count = try reader.count(max: ProgramBounds.maxConstants)
        let elements: Elements
        if kind == 0 {
            var strings: [ByteString] = []
            strings.reserveCapacity(count)
            for _ in 0..<count { strings.append(try ConstantCodec.text(&reader, of: bytes)) }
            elements = .strings(strings)
        } else {
            var integers: [Int64] = []
            integers.reserveCapacity(count)
            for _ in 0..<count { integers.append(try reader.signed()) }
            elements = .integers(integers)
        }
        guard kind <= 1, let set = LookupSet(elements, listCount: listCount) else {
            throw CodecError(.invalid, offset: start)
        }
        self = set
    }
}

extension ByteReader {
    /// Reads a varint of a bounded value.
    fileprivate mutating func integer(max: Int) throws(CodecError) -> Int {
        let start = offset
        let value = try varint()
        guard value <= UInt64(max) else { throw CodecError(.tooLong, offset: start) }
        return Int(value)
    }
}
