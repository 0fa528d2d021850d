// Puts instructions one after the other: constants without repetition, jumps to places that are not known yet, segments
// that are joined at the end.

/// A program in the making.
struct CodeBuilder {
    /// A segment in the making; jumps count from its own start.
    private struct Segment {
        var code: [Instruction] = []
    }

    private var finished: [Int: Segment] = [:]
    private var open: [Segment] = [Segment()]
    private var segmentCount = 1
    private var constants: [Value] = []
    private var constantsByText: [ByteString: UInt32] = [:]
    private(set) var patterns: [ByteString] = []
    private var sets: [LookupSet] = []
    private(set) var localCount = 0

    /// The place of the next instruction.
    var position: UInt32 { UInt32(open[open.count - 1].code.count) }

    /// Adds an instruction.
    ///
    /// - Returns: its place, for `patch`.
    @discardableResult
    mutating func emit(
        _ operation: Operation,
        a: Int = 0,
        b: UInt32 = 0,
        c: UInt32 = 0,
        at offset: Int
    ) -> UInt32 {
        let place = position
        // Bounds are the verifier's to refuse; here they must only not trap.
        open[open.count - 1].code.append(
            Instruction(operation: operation, a: UInt16(clamping: a), b: b, c: c, offset: UInt32(clamping: offset))
        )
        return place
    }

    /// Lets an instruction's `b` be the next place.
    mutating func patch(_ place: UInt32) {
        open[open.count - 1].code[Int(place)].b = position
    }

    /// Adds an instruction that pays units; none for none.
    mutating func charge(_ units: UInt64, at offset: Int) {
        guard units > 0 else { return }
        emit(.charge, b: UInt32(clamping: units), at: offset)
    }

    /// A constant's number; texts are kept once.
    mutating func constant(_ value: Value) -> UInt32 {
        if case .string(let text) = value {
            if let known = constantsByText[text] { return known }
            constantsByText[text] = UInt32(constants.count)
        }
        constants.append(value)
        return UInt32(constants.count - 1)
    }

    /// A pattern's number.
    mutating func pattern(_ text: ByteString) -> UInt32 {
        if let known = patterns.firstIndex(of: text) { return UInt32(known) }
        patterns.append(text)
        return UInt32(patterns.count - 1)
    }

    /// A set's number.
    mutating func set(_ set: LookupSet) -> UInt32 {
        sets.append(set)
        return UInt32(sets.count - 1)
    }

    /// Places for locals, one after the other.
    mutating func allocate(locals count: Int) -> Int {
        defer { localCount += count }
        return localCount
    }

    /// Begins a segment of its own; the one before goes on after `endSegment`.
    mutating func beginSegment() { open.append(Segment()) }

    /// Ends a segment with what is on its stack.
    ///
    /// - Returns: its number; higher than those of all segments that it can call.
    mutating func endSegment(at offset: Int) -> UInt32 {
        emit(.end, at: offset)
        let number = segmentCount
        segmentCount += 1
        finished[number] = open.removeLast()
        return UInt32(number)
    }

    /// Joins the segments.
    mutating func finish(at offset: Int) -> ProgramParts {
        emit(.end, at: offset)
        finished[0] = open[0]
        var parts = ProgramParts()
        for number in 0..<segmentCount {
            guard let segment = finished[number] else { continue }
            let start = UInt32(parts.code.count)
            parts.segments.append(Int(start))
            for var instruction in segment.code {
                if instruction.jump != nil { instruction.b += start }
                if instruction.operation == .andStep || instruction.operation == .orStep { instruction.c += start }
                parts.code.append(instruction)
            }
        }
        parts.constants = constants
        parts.patterns = patterns.map { LazyRegex($0) }
        parts.sets = sets
        parts.localCount = localCount
        return parts
    }
}
