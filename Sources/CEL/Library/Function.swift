// The functions that programs can call, by number: the numbers are part of the program format and never change meaning.
// Which types a function takes is the check's business (Check/StandardLibrary.swift); what it does with the values at
// run time, whatever their types, is beside this file.

/// A built-in function or operator.
///
/// One number serves all overloads of a name.
enum Function: UInt16, CaseIterable, Sendable {
    // Operators.
    case add = 1
    case subtract = 2
    case multiply = 3
    case divide = 4
    case modulo = 5
    case negate = 6
    case not = 7
    case equal = 8
    case notEqual = 9
    case less = 10
    case lessOrEqual = 11
    case greater = 12
    case greaterOrEqual = 13
    case isIn = 14

    // Standard functions.
    case size = 20
    case contains = 21
    case startsWith = 22
    case endsWith = 23
    case matches = 24
    case toInt = 25
    case toUint = 26
    case toDouble = 27
    case toString = 28
    case toBytes = 29
    case toBool = 30
    case toTimestamp = 31
    case toDuration = 32
    case typeOf = 33
    case toDyn = 34
    case getFullYear = 35
    case getMonth = 36
    case getDate = 37
    case getDayOfMonth = 38
    case getDayOfWeek = 39
    case getDayOfYear = 40
    case getHours = 41
    case getMinutes = 42
    case getSeconds = 43
    case getMilliseconds = 44

    // Strings.
    case charAt = 60
    case indexOf = 61
    case lastIndexOf = 62
    case join = 63
    case lowerAscii = 64
    case upperAscii = 65
    case replace = 66
    case split = 67
    case substring = 68
    case trim = 69
    case reverse = 70
    case format = 71
    case quote = 72

    // Math.
    case greatest = 80
    case least = 81
    case ceil = 82
    case floor = 83
    case round = 84
    case truncate = 85
    case absolute = 86
    case sign = 87
    case isInfinite = 88
    case isNaN = 89
    case isFinite = 90
    case bitOr = 91
    case bitAnd = 92
    case bitXor = 93
    case bitNot = 94
    case bitShiftLeft = 95
    case bitShiftRight = 96
    case squareRoot = 97

    // Lists.
    case slice = 110
    case flatten = 111
    case distinct = 112
    case sort = 113
    case range = 114
    case first = 115
    case last = 116

    // Sets.
    case setContains = 120
    case setEquivalent = 121
    case setIntersects = 122

    // Encoders.
    case base64Encode = 130
    case base64Decode = 131

    // Optionals. `or`, `orValue`, `optMap` and `optFlatMap` are lazy, hence instructions.
    case optionalOf = 140
    case optionalNone = 141
    case optionalOfNonZero = 142
    case optionalHasValue = 143
    case optionalValue = 144
    case optionalUnwrap = 145

    // Networks.
    case toIP = 150
    case isIP = 151
    case isCanonicalIP = 152
    case family = 153
    case isUnspecified = 154
    case isLoopback = 155
    case isGlobalUnicast = 156
    case isLinkLocalMulticast = 157
    case isLinkLocalUnicast = 158
    case toCIDR = 159
    case isCIDR = 160
    case containsIP = 161
    case containsCIDR = 162
    case prefixLength = 163
    case masked = 164

    /// Literals of well-known messages; no name spells it.
    case message = 170
}

/// A way to write a call of a function: its name, and whether something stands before the dot.
struct FunctionSpelling: Sendable {
    let name: String
    let function: Function
    /// Whether it is called on a receiver, which is then its first argument.
    let isMember: Bool
    /// How many arguments it can have, the receiver included.
    let arity: ClosedRange<Int>

    /// Any number of arguments.
    static let anyCount = 1...255
}

extension Function {
    /// The function that a call means.
    ///
    /// - Parameters:
    ///   - name: as written, with its namespace (`math.abs`), or an operator's (`_+_`).
    ///   - isMember: whether the call has a receiver.
    ///   - count: arguments, the receiver included.
    /// - Returns: nil for `or` and other instructions, and for what is not built in.
    static func spelled(_ name: String, isMember: Bool, count: Int) -> Function? {
        spellings[name]?.first { $0.isMember == isMember && $0.arity.contains(count) }?.function
    }

    private static let spellings: [String: [FunctionSpelling]] = Dictionary(grouping: all, by: \.name)

    private static func global(_ name: String, _ function: Function, _ arity: ClosedRange<Int>) -> FunctionSpelling {
        FunctionSpelling(name: name, function: function, isMember: false, arity: arity)
    }

    private static func member(_ name: String, _ function: Function, _ arity: ClosedRange<Int>) -> FunctionSpelling {
        FunctionSpelling(name: name, function: function, isMember: true, arity: arity)
    }

    /// Every way to call a function; arity is checked here, types by the check and at run time.
    static let all: [FunctionSpelling] =
        operators + standard + strings + math + lists + sets + encoders + optionals + networks

    private static let operators = [
        global("_+_", .add, 2...2), global("_-_", .subtract, 2...2), global("_*_", .multiply, 2...2),
        global("_/_", .divide, 2...2), global("_%_", .modulo, 2...2), global("-_", .negate, 1...1),
        global("!_", .not, 1...1), global("_==_", .equal, 2...2), global("_!=_", .notEqual, 2...2),
        global("_<_", .less, 2...2), global("_<=_", .lessOrEqual, 2...2), global("_>_", .greater, 2...2),
        global("_>=_", .greaterOrEqual, 2...2), global("@in", .isIn, 2...2),
    ]

    private static let standard =
        [
            global("size", .size, 1...1), member("size", .size, 1...1), member("contains", .contains, 2...2),
            member("startsWith", .startsWith, 2...2), member("endsWith", .endsWith, 2...2),
            member("matches", .matches, 2...2), global("matches", .matches, 2...2), global("int", .toInt, 1...1),
            global("uint", .toUint, 1...1), global("double", .toDouble, 1...1), global("string", .toString, 1...1),
            global("bytes", .toBytes, 1...1), global("bool", .toBool, 1...1),
            global("timestamp", .toTimestamp, 1...1), global("duration", .toDuration, 1...1),
            global("type", .typeOf, 1...1), global("dyn", .toDyn, 1...1),
        ]
        + ([
            ("getFullYear", .getFullYear), ("getMonth", .getMonth), ("getDate", .getDate),
            ("getDayOfMonth", .getDayOfMonth), ("getDayOfWeek", .getDayOfWeek), ("getDayOfYear", .getDayOfYear),
            ("getHours", .getHours), ("getMinutes", .getMinutes), ("getSeconds", .getSeconds),
            ("getMilliseconds", .getMilliseconds),
        ] as [(String, Function)]).map { member($0.0, $0.1, 1...2) }

    private static let strings = [
        member("charAt", .charAt, 2...2), member("indexOf", .indexOf, 2...3),
        member("lastIndexOf", .lastIndexOf, 2...3), member("join", .join, 1...2),
        member("lowerAscii", .lowerAscii, 1...1), member("upperAscii", .upperAscii, 1...1),
        member("replace", .replace, 3...4), member("split", .split, 2...3), member("substring", .substring, 2...3),
        member("trim", .trim, 1...1), member("reverse", .reverse, 1...1), member("format", .format, 2...2),
        global("strings.quote", .quote, 1...1),
    ]

    private static let math = [
        global("math.greatest", .greatest, FunctionSpelling.anyCount),
        global("math.least", .least, FunctionSpelling.anyCount),
        global("math.ceil", .ceil, 1...1), global("math.floor", .floor, 1...1), global("math.round", .round, 1...1),
        global("math.trunc", .truncate, 1...1), global("math.abs", .absolute, 1...1), global("math.sign", .sign, 1...1),
        global("math.isInf", .isInfinite, 1...1), global("math.isNaN", .isNaN, 1...1),
        global("math.isFinite", .isFinite, 1...1), global("math.bitOr", .bitOr, 2...2),
        global("math.bitAnd", .bitAnd, 2...2), global("math.bitXor", .bitXor, 2...2),
        global("math.bitNot", .bitNot, 1...1), global("math.bitShiftLeft", .bitShiftLeft, 2...2),
        global("math.bitShiftRight", .bitShiftRight, 2...2), global("math.sqrt", .squareRoot, 1...1),
    ]

    private static let lists = [
        member("slice", .slice, 3...3), member("flatten", .flatten, 1...2), member("distinct", .distinct, 1...1),
        member("sort", .sort, 1...1), global("lists.range", .range, 1...1), member("first", .first, 1...1),
        member("last", .last, 1...1),
    ]

    private static let sets = [
        global("sets.contains", .setContains, 2...2), global("sets.equivalent", .setEquivalent, 2...2),
        global("sets.intersects", .setIntersects, 2...2),
    ]

    private static let encoders = [
        global("base64.encode", .base64Encode, 1...1), global("base64.decode", .base64Decode, 1...1),
    ]

    private static let optionals = [
        global("optional.of", .optionalOf, 1...1), global("optional.none", .optionalNone, 0...0),
        global("optional.ofNonZeroValue", .optionalOfNonZero, 1...1),
        member("hasValue", .optionalHasValue, 1...1), member("value", .optionalValue, 1...1),
        global("optional.unwrap", .optionalUnwrap, 1...1), member("unwrapOpt", .optionalUnwrap, 1...1),
    ]

    private static let networks = [
        global("ip", .toIP, 1...1), member("ip", .toIP, 1...1), global("isIP", .isIP, 1...1),
        global("ip.isCanonical", .isCanonicalIP, 1...1), member("family", .family, 1...1),
        member("isUnspecified", .isUnspecified, 1...1), member("isLoopback", .isLoopback, 1...1),
        member("isGlobalUnicast", .isGlobalUnicast, 1...1),
        member("isLinkLocalMulticast", .isLinkLocalMulticast, 1...1),
        member("isLinkLocalUnicast", .isLinkLocalUnicast, 1...1), global("cidr", .toCIDR, 1...1),
        global("isCIDR", .isCIDR, 1...1), member("containsIP", .containsIP, 2...2),
        member("containsCIDR", .containsCIDR, 2...2), member("prefixLength", .prefixLength, 1...1),
        member("masked", .masked, 1...1),
    ]
}
