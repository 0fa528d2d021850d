// The bytes that a compiled policy is in a snapshot: a small versioned envelope, then what the kind writes.
//
//     u8 version (1) │ string kind │ the kind's fields, see its file
//
// Integers, strings and counts are Codec's. Programs travel signed, yet are read as if an attacker wrote them:
// every bound that the config has is checked again, so that a loaded rule is one that `compile` could have made.

import Codec

/// Why bytes are no program.
public struct ProgramError: Error, Equatable, Sendable {
    /// What is wrong with them.
    public enum Reason: Equatable, Sendable {
        /// Cut short, too long, or not the codec's encoding.
        case malformed
        /// Written by a newer Weir.
        case unknownVersion(UInt8)
        /// A program of another kind.
        case wrongKind
        /// A value that no config can have.
        case outOfBounds
        /// An expression that was compiled against other variables or functions.
        case otherEnvironment
    }

    /// What is wrong.
    public let reason: Reason
    /// Bytes from the program's start, near the trouble.
    public let offset: Int

    /// Makes an error.
    public init(reason: Reason, offset: Int) {
        self.reason = reason
        self.offset = offset
    }
}

/// The envelope's version.
private let programVersion: UInt8 = 1

/// Begins a program of the kind.
func makeProgram(of kind: String) -> ByteWriter {
    var writer = ByteWriter(reservingCapacity: 64)
    writer.write(u8: programVersion)
    writer.write(string: kind)
    return writer
}

/// Reads a program of the kind: envelope, fields, nothing after them.
///
/// - Parameters:
///   - program: the bytes.
///   - kind: the name it must carry.
///   - fields: reads the kind's own part.
/// - Returns: what `fields` made.
/// - Throws: why the bytes are no such program.
func readProgram<Loaded>(
    _ program: [UInt8],
    of kind: String,
    _ fields: (inout ProgramReader) throws(ProgramError) -> Loaded
) throws(ProgramError) -> Loaded {
    var reader = ProgramReader(program)
    let version = try reader.u8()
    guard version == programVersion else { throw reader.failure(.unknownVersion(version)) }
    guard try reader.string(max: 64).utf8.elementsEqual(kind.utf8) else { throw reader.failure(.wrongKind) }
    let loaded = try fields(&reader)
    try reader.expectEnd()
    return loaded
}

/// Codec's reader with this file's error and bounds.
struct ProgramReader {
    private var reader: ByteReader

    init(_ program: [UInt8]) { reader = ByteReader(program) }

    /// An error at the current place.
    func failure(_ reason: ProgramError.Reason) -> ProgramError {
        ProgramError(reason: reason, offset: reader.offset)
    }

    mutating func u8() throws(ProgramError) -> UInt8 {
        try run { reader throws(CodecError) in try reader.u8() }
    }

    mutating func bool() throws(ProgramError) -> Bool {
        try run { reader throws(CodecError) in try reader.bool() }
    }

    mutating func bytes(max: Int) throws(ProgramError) -> [UInt8] {
        try run { reader throws(CodecError) in try reader.bytes(max: max) }
    }

    mutating func string(max: Int) throws(ProgramError) -> String {
        try run { reader throws(CodecError) in try reader.string(max: max) }
    }

    mutating func count(max: Int) throws(ProgramError) -> Int {
        try run { reader throws(CodecError) in try reader.count(max: max) }
    }

    /// A number that must lie in the range of its config field.
    mutating func integer(in range: ClosedRange<Int64>) throws(ProgramError) -> Int64 {
        let value = try run { reader throws(CodecError) in try reader.varint() }
        guard let integer = Int64(exactly: value), range.contains(integer) else { throw failure(.outOfBounds) }
        return integer
    }

    /// A number that may be absent: a flag, then the number.
    mutating func optionalInteger(in range: ClosedRange<Int64>) throws(ProgramError) -> Int64? {
        try bool() ? integer(in: range) : nil
    }

    mutating func expectEnd() throws(ProgramError) {
        try run { reader throws(CodecError) in try reader.expectEnd() }
    }

    private mutating func run<Value>(
        _ read: (inout ByteReader) throws(CodecError) -> Value
    ) throws(ProgramError) -> Value {
        do throws(CodecError) {
            return try read(&reader)
        } catch {
            throw ProgramError(reason: .malformed, offset: error.offset)
        }
    }
}

extension ByteWriter {
    /// Writes a number that is not negative.
    mutating func write(integer: Int64) {
        write(varint: UInt64(integer))
    }

    /// Writes a number that may be absent, as `optionalInteger(in:)` reads it.
    mutating func write(optional integer: Int64?) {
        write(bool: integer != nil)
        if let integer { write(integer: integer) }
    }
}
