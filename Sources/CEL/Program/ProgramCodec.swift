// Programs as bytes: the control plane writes them into snapshots, nodes read them without compiling anything. The bytes
// are read as if an attacker had made them; what comes out went through the verifier.
//
//     u8 version (1) │ u64 fingerprint of the environment │ varint locals
//     count, constants │ count, patterns │ count of sets: each a count and its constants
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
    public func encoded(for environment: Environment) -> [UInt8] {
        var writer = ByteWriter(reservingCapacity: 32 + 8 * code.count)
        writer.write(u8: Self.version)
        writer.write(u64: environment.fingerprint)
        writer.write(varint: UInt64(localCount))
        writer.write(varint: UInt64(constants.count))
        for constant in constants { ConstantCodec.write(constant, to: &writer) }
        let patterns = parts.patterns
        writer.write(varint: UInt64(patterns.count))
        for pattern in patterns { writer.write(bytes: pattern.bytes) }
        writer.write(varint: UInt64(sets.count))
        for set in sets {
            writer.write(varint: UInt64(set.elements.count))
            for element in set.elements { ConstantCodec.write(element, to: &writer) }
        }
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
        for offset in offsets {
            writer.write(signed: Int64(offset) - previous)
            previous = Int64(offset)
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
            parts = try Self.parts(&reader)
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

    private static func parts(_ reader: inout ByteReader) throws(CodecError) -> ProgramParts {
        var parts = ProgramParts()
        parts.localCount = try reader.integer(max: ProgramBounds.maxSlots)
        for _ in 0..<(try reader.count(max: ProgramBounds.maxConstants)) {
            parts.constants.append(try ConstantCodec.read(&reader))
        }
        for _ in 0..<(try reader.count(max: ProgramBounds.maxPatterns)) {
            parts.patterns.append(ByteString(try reader.bytes(max: ProgramBounds.maxBytes)))
        }
        for _ in 0..<(try reader.count(max: ProgramBounds.maxSets)) {
            var elements: [Value] = []
            for _ in 0..<(try reader.count(max: ProgramBounds.maxConstants)) {
                elements.append(try ConstantCodec.read(&reader))
            }
            parts.sets.append(elements)
        }
        parts.segments = [0]
        for _ in 0..<(try reader.count(max: ProgramBounds.maxSegments - 1)) {
            parts.segments.append(try reader.integer(max: ProgramBounds.maxInstructions))
        }
        let count = try reader.count(max: ProgramBounds.maxInstructions, bytesEach: 2)
        parts.code.reserveCapacity(count)
        parts.offsets.reserveCapacity(count)
        for _ in 0..<count { parts.code.append(try instruction(&reader)) }
        var previous: Int64 = 0
        for _ in 0..<count {
            let start = reader.offset
            let (offset, overflows) = previous.addingReportingOverflow(try reader.signed())
            guard !overflows, let exact = UInt32(exactly: offset) else { throw CodecError(.invalid, offset: start) }
            parts.offsets.append(exact)
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

extension ByteReader {
    /// Reads a varint of a bounded value.
    fileprivate mutating func integer(max: Int) throws(CodecError) -> Int {
        let start = offset
        let value = try varint()
        guard value <= UInt64(max) else { throw CodecError(.tooLong, offset: start) }
        return Int(value)
    }
}
