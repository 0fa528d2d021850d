// A compiled expression: what a snapshot carries and a node runs. Whoever made it, it was verified: every jump, local,
// constant and stack depth is inside its bounds, so that the machine checks none of them twice.

/// A verified program.
public final class Program: Sendable {
    /// The segments one after the other; the first is the expression, the others are lazy variables.
    let code: [Instruction]
    let constants: [Value]
    /// Where each segment begins in `code`.
    let segments: [Int]
    let patterns: [LazyRegex]
    let sets: [LookupSet]
    /// Locals that the segments use together; they lie below the stack.
    let localCount: Int
    /// Where an error at an instruction goes, if it stands in an operand of `&&` or `||`; by instruction, or empty when none
    /// does.
    let handlers: [Handler]
    /// Locals and the deepest stack together.
    let slotCount: Int

    /// Where an error in an operand of `&&` or `||` goes on.
    struct Handler: Equatable, Sendable {
        /// The step that absorbs it; negative for nowhere.
        var target: Int32
        /// Values on the segment's stack below the operand's.
        var height: Int32

        static let none = Handler(target: -1, height: 0)
    }

    init(_ parts: ProgramParts, _ verified: Verifier.Result) {
        code = parts.code
        constants = parts.constants
        segments = parts.segments
        patterns = parts.patterns
        sets = parts.sets
        localCount = parts.localCount
        handlers = verified.handlers
        slotCount = verified.slotCount
    }

    /// Instructions, over all segments.
    public var instructionCount: Int { code.count }

    /// The same program without what verifying added: what is encoded.
    var parts: ProgramParts {
        ProgramParts(
            code: code,
            constants: constants,
            segments: segments,
            patterns: patterns,
            sets: sets,
            localCount: localCount
        )
    }
}

/// A program as the compiler writes it or a decoder reads it: nothing is known of it yet.
struct ProgramParts: Sendable {
    var code: [Instruction] = []
    var constants: [Value] = []
    var segments: [Int] = []
    var patterns: [LazyRegex] = []
    var sets: [LookupSet] = []
    var localCount = 0
}

/// What programs are bounded to, whoever wrote them.
public enum ProgramBounds {
    /// Instructions of a program.
    public static let maxInstructions = 65_536
    /// Constants of a program.
    public static let maxConstants = 65_536
    /// Locals of a program; also the deepest stack.
    public static let maxSlots = 65_535
    /// Bytes of an encoded program.
    public static let maxBytes = 1 << 20
    /// Segments of a program.
    static let maxSegments = 4_096
    /// Segments that wait for one another: more than `cel.bind` can nest, fewer than the stack holds.
    static let maxLazyChain = 256
    /// Patterns of a program: each is a machine of RE2's.
    static let maxPatterns = 64
    /// Literal lists of a program that are looked up.
    static let maxSets = 4_096
    /// Nesting of a constant.
    static let maxConstantDepth = 64
}
