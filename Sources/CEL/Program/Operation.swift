// The machine's instructions. Their numbers and operands are the program format (schemas/cel.md): they never
// change meaning; a change is a new number or a new format version.

/// What an instruction does.
///
/// Above each: its effect on the stack, before → after.
///
/// `a` is a small operand, `b` and `c` are large ones; an operation that does not use one has 0 there.
enum Operation: UInt8, CaseIterable, Sendable {
    /// → constants[b]
    case constant = 1
    /// → the host's variable b.
    case variable = 2
    /// → whether the host's variable b has a value.
    case hasVariable = 3
    /// → the host's variable b as an optional.
    case optionalVariable = 4
    /// → the value under the key constants[c] of the host's map b.
    case member = 5
    /// → whether the host's map b has the key constants[c].
    case hasMember = 6
    /// → the same value as an optional.
    case optionalMember = 7
    /// → local a
    case local = 8
    /// → local a, computed by segment b when it has no value yet.
    case lazyLocal = 9
    /// value → ; into local a
    case setLocal = 10
    /// Takes the value from local a, so that a lazy one is computed anew.
    case unsetLocal = 11
    /// Pays b units.
    case charge = 12

    /// operand → its field constants[b]
    case select = 20
    /// operand → its field as an optional
    case optionalSelect = 21
    /// operand → whether it has the field
    case hasField = 22
    /// operand, index → element; pays a
    case index = 23
    /// operand, index → element as an optional; pays a when there is one
    case optionalIndex = 24

    /// a arguments → result of function b
    case call = 30
    /// text → whether patterns[b] is found in it
    case matches = 31
    /// needle → whether sets[b] has it
    case isInSet = 32
    /// list, keys → the list sorted by the keys
    case sortBy = 34
    /// → the host's variable b compared with constants[c] by function a
    case compareVariable = 35
    /// → local b compared with constants[c] by function a
    case compareLocal = 36
    /// value → it compared with constants[c] by function a
    case compare = 37
    /// → whether sets[c] has the host's variable b
    case isVariableInSet = 38

    /// b elements → list; with a = 1, elements marked in constants[c] are optionals
    case list = 40
    /// b keys and values → map; with a = 1, values marked in constants[c] are optionals
    case map = 41
    /// list, value → list with it
    case append = 42
    /// keys, values, value → both longer; the key is local a
    case appendEntry = 43
    /// keys, values, map → both longer by the map's entries
    case appendEntries = 44
    /// keys, values → map
    case buildMap = 45
    /// count, bool → count of true ones; pays a when true
    case countTrue = 46
    /// count → whether it is 1
    case isOne = 47

    /// Goes to b.
    case jump = 60
    /// bool → ; goes to b when it is false
    case branch = 61
    /// so far, bool or error → so far; goes to b when it is decided, else with a = 1 to the loop's head just before c. An
    /// error since c came here.
    case andStep = 62
    /// so far → bool
    case andEnd = 63
    /// As `andStep`, for `||`.
    case orStep = 64
    /// so far → bool
    case orEnd = 65
    /// optional → ; without a value goes to b with the optional, else puts the value into local a
    case optionalBind = 66
    /// optional → ; with a value goes to b with the optional
    case or = 67
    /// optional → ; with a value goes to b with the value
    case orValue = 68
    /// optional → the same, or an error if it is none
    case expectOptional = 69
    /// range → ; begins a loop over it in the locals from a: the range, how far it is, the variables
    case loopStart = 70
    /// Takes the next element into local a + 2, or goes to b at the end; pays c.
    case loopNext = 71
    /// The same with two variables, in locals a + 2 and a + 3.
    case loopNextPair = 72
    /// range → whether an element (b = 0) or every element (b = 1) equals constants[c], or does not, by function a; pays
    /// what the loop would.
    case testElements = 76
    /// → nothing ever: raises error a.
    case fail = 73
    /// Pays b units if the loop in the locals from a has elements left.
    case chargeIfLeft = 75
    /// value → ; the segment's result
    case end = 74
}

/// One step of a program.
struct Instruction: Equatable, Sendable {
    var operation: Operation
    var a: UInt16 = 0
    var b: UInt32 = 0
    var c: UInt32 = 0
    /// Bytes from the source's start, for errors.
    var offset: UInt32 = 0
}

extension Operation {
    /// Which operands the operation has, in the order of the format.
    var operands: (a: Bool, b: Bool, c: Bool) {
        switch self {
        case .append, .appendEntries, .buildMap, .isOne, .sortBy, .andEnd, .orEnd, .expectOptional, .end:
            (false, false, false)
        case .local, .setLocal, .unsetLocal, .appendEntry, .countTrue, .loopStart, .fail, .index, .optionalIndex:
            (true, false, false)
        case .constant, .variable, .hasVariable, .optionalVariable, .charge, .select, .optionalSelect, .hasField,
            .matches, .isInSet, .jump, .branch, .or, .orValue:
            (false, true, false)
        case .call, .lazyLocal, .optionalBind, .chargeIfLeft: (true, true, false)
        case .member, .hasMember, .optionalMember, .isVariableInSet: (false, true, true)
        case .compare: (true, false, true)
        case .list, .map, .loopNext, .loopNextPair, .compareVariable, .compareLocal, .testElements, .andStep, .orStep:
            (true, true, true)
        }
    }
}

extension Instruction {
    /// Values that it takes from the stack and puts there when it does not jump.
    var effect: (pops: Int, pushes: Int) {
        switch operation {
        case .constant, .variable, .hasVariable, .optionalVariable, .member, .hasMember, .optionalMember, .local,
            .lazyLocal, .fail, .compareVariable, .compareLocal, .isVariableInSet:
            (0, 1)
        case .unsetLocal, .charge, .chargeIfLeft, .jump, .loopNext, .loopNextPair: (0, 0)
        case .setLocal, .branch, .loopStart, .end, .optionalBind, .or, .orValue: (1, 0)
        case .select, .optionalSelect, .hasField, .matches, .isInSet, .compare, .testElements, .isOne, .andEnd, .orEnd,
            .expectOptional:
            (1, 1)
        case .index, .optionalIndex, .sortBy, .append, .buildMap, .countTrue, .andStep, .orStep: (2, 1)
        case .appendEntry, .appendEntries: (3, 2)
        case .call: (Int(a), 1)
        case .list: (Int(b), 1)
        case .map: (2 * Int(b), 1)
        }
    }

    /// Where it may go, and how many values more than after falling through are on the stack there; nil for nowhere.
    var jump: (target: Int, extra: Int)? {
        switch operation {
        case .jump, .branch, .andStep, .orStep, .loopNext, .loopNextPair: (Int(b), 0)
        case .optionalBind, .or, .orValue: (Int(b), 1)
        default: nil
        }
    }

    /// Whether the next instruction is never reached from this one.
    var endsFlow: Bool { operation == .jump || operation == .end || loopHead != nil }

    /// Where a step of `all` or `exists` goes back to; nil for every other instruction.
    var loopHead: Int? {
        guard operation == .andStep || operation == .orStep, a == 1 else { return nil }
        return Int(c) - 1
    }
}
