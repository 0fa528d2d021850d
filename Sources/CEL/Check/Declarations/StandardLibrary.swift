// Which types the built-in functions take and give: the check's half of Library/Function.swift. `dyn` fits any of them.

/// The overloads of the functions that are built in.
enum StandardLibrary {
    typealias Overload = Environment.Overload

    /// All overloads, by the function's name; in the order in which messages name them.
    static let overloads: [String: [Overload]] = Dictionary(
        grouping: operators + comparisons + standard + conversions + timeParts + strings + encoders + math + lists
            + sets
            + optionals + networks,
        by: \.name
    )

    /// Functions of any number of arguments: numbers, or one list of numbers.
    static let extremes: Set<String> = ["math.greatest", "math.least"]

    /// Types that have an order.
    static let comparable: [CELType] = [.int, .uint, .double, .bool, .duration, .timestamp, .string, .bytes]

    static let anyType = CELType.parameter("T")
    static let keyType = CELType.parameter("K")
    static let valueType = CELType.parameter("V")

    static func global(_ name: String, _ parameters: [CELType], _ result: CELType) -> Overload {
        Overload(name, isMember: false, parameters, result)
    }

    static func member(_ name: String, _ parameters: [CELType], _ result: CELType) -> Overload {
        Overload(name, isMember: true, parameters, result)
    }

    private static func same(_ name: String, _ types: [CELType]) -> [Overload] {
        types.map { global(name, [$0, $0], $0) }
    }

    private static let operators: [Overload] =
        same("_+_", [.int, .uint, .double, .string, .bytes, .list(anyType), .duration])
        + [
            global("_+_", [.timestamp, .duration], .timestamp), global("_+_", [.duration, .timestamp], .timestamp),
        ]
        + same("_-_", [.int, .uint, .double, .duration])
        + [
            global("_-_", [.timestamp, .duration], .timestamp), global("_-_", [.timestamp, .timestamp], .duration),
        ]
        + same("_*_", [.int, .uint, .double]) + same("_/_", [.int, .uint, .double]) + same("_%_", [.int, .uint])
        + [
            global("-_", [.int], .int), global("-_", [.double], .double), global("!_", [.bool], .bool),
            global("@in", [anyType, .list(anyType)], .bool), global("@in", [keyType, .map(keyType, valueType)], .bool),
        ]

    private static let comparisons: [Overload] =
        ["_==_", "_!=_"].map { global($0, [anyType, anyType], .bool) }
        + ["_<_", "_<=_", "_>_", "_>=_"].flatMap { name in
            comparable.map { global(name, [$0, $0], .bool) }
                + [
                    global(name, [.int, .uint], .bool), global(name, [.int, .double], .bool),
                    global(name, [.uint, .int], .bool), global(name, [.uint, .double], .bool),
                    global(name, [.double, .int], .bool), global(name, [.double, .uint], .bool),
                ]
        }

    private static let sized: [CELType] = [.string, .bytes, .list(anyType), .map(keyType, valueType)]

    private static let standard: [Overload] =
        sized.map { global("size", [$0], .int) } + sized.map { member("size", [$0], .int) }
        + ["contains", "startsWith", "endsWith", "matches"].map { member($0, [.string, .string], .bool) }
        + [
            global("matches", [.string, .string], .bool), global("type", [anyType], .type(anyType)),
            global("dyn", [anyType], .dyn),
        ]

    private static func conversion(_ name: String, to result: CELType, from types: [CELType]) -> [Overload] {
        types.map { global(name, [$0], result) }
    }

    private static let conversions: [Overload] =
        conversion("int", to: .int, from: [.int, .uint, .double, .string, .timestamp])
        + conversion("uint", to: .uint, from: [.uint, .int, .double, .string])
        + conversion("double", to: .double, from: [.double, .int, .uint, .string])
        + conversion(
            "string",
            to: .string,
            from: [.string, .bool, .int, .uint, .double, .bytes, .timestamp, .duration, address, network]
        )
        + conversion("bytes", to: .bytes, from: [.bytes, .string])
        + conversion("bool", to: .bool, from: [.bool, .string])
        + conversion("timestamp", to: .timestamp, from: [.timestamp, .string, .int])
        + conversion("duration", to: .duration, from: [.duration, .string])

    private static let timeParts: [Overload] =
        [
            "getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours",
            "getMinutes", "getSeconds", "getMilliseconds",
        ].flatMap { [member($0, [.timestamp], .int), member($0, [.timestamp, .string], .int)] }
        + ["getHours", "getMinutes", "getSeconds", "getMilliseconds"].map { member($0, [.duration], .int) }
}

extension StandardLibrary {
    /// `a[b]`, declared like a function so that its messages read alike.
    static let index: [Overload] = [
        global("_[_]", [.list(anyType), .int], anyType),
        global("_[_]", [.map(keyType, valueType), keyType], valueType),
        global("_[_]", [.optional(.list(anyType)), .int], .optional(anyType)),
        global("_[_]", [.optional(.map(keyType, valueType)), keyType], .optional(valueType)),
    ]

    /// `a[?b]`, likewise.
    static let optionalIndex: [Overload] = [
        global("_[?_]", [.list(anyType), .int], .optional(anyType)),
        global("_[?_]", [.map(keyType, valueType), keyType], .optional(valueType)),
        global("_[?_]", [.optional(.list(anyType)), .int], .optional(anyType)),
        global("_[?_]", [.optional(.map(keyType, valueType)), keyType], .optional(valueType)),
    ]
}
