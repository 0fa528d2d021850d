// The overloads of the extensions: strings, math, lists, sets, encoders, optionals and networks.

extension StandardLibrary {
    /// An IP address.
    static let address = CELType.abstract("net.IP", [])
    /// A network of addresses.
    static let network = CELType.abstract("net.CIDR", [])

    static let strings: [Overload] =
        ["lowerAscii", "upperAscii", "trim", "reverse"].map { member($0, [.string], .string) }
        + ["indexOf", "lastIndexOf"].flatMap {
            [member($0, [.string, .string], .int), member($0, [.string, .string, .int], .int)]
        }
        + [
            member("charAt", [.string, .int], .string),
            member("join", [.list(.string)], .string), member("join", [.list(.string), .string], .string),
            member("replace", [.string, .string, .string], .string),
            member("replace", [.string, .string, .string, .int], .string),
            member("split", [.string, .string], .list(.string)),
            member("split", [.string, .string, .int], .list(.string)),
            member("substring", [.string, .int], .string), member("substring", [.string, .int, .int], .string),
            member("format", [.string, .list(.dyn)], .string),
            global("strings.quote", [.string], .string),
        ]

    static let encoders: [Overload] = [
        global("base64.encode", [.bytes], .string), global("base64.decode", [.string], .bytes),
    ]

    static let math: [Overload] =
        ["ceil", "floor", "round", "trunc"].map { global("math.\($0)", [.double], .double) }
        + ["isInf", "isNaN", "isFinite"].map { global("math.\($0)", [.double], .bool) }
        + ["abs", "sign"].flatMap { name in
            [CELType.int, .uint, .double].map { global("math.\(name)", [$0], $0) }
        }
        + [CELType.int, .uint, .double].map { global("math.sqrt", [$0], .double) }
        + ["bitOr", "bitAnd", "bitXor"].flatMap { name in
            [CELType.int, .uint].map { global("math.\(name)", [$0, $0], $0) }
        }
        + [CELType.int, .uint].flatMap { type in
            [
                global("math.bitNot", [type], type), global("math.bitShiftLeft", [type, .int], type),
                global("math.bitShiftRight", [type, .int], type),
            ]
        }

    static let lists: [Overload] =
        [
            member("slice", [.list(anyType), .int, .int], .list(anyType)),
            member("flatten", [.list(.list(anyType))], .list(anyType)),
            member("flatten", [.list(.dyn), .int], .list(.dyn)),
            member("distinct", [.list(anyType)], .list(anyType)),
            member("reverse", [.list(anyType)], .list(anyType)),
            member("first", [.list(anyType)], .optional(anyType)),
            member("last", [.list(anyType)], .optional(anyType)),
            global("lists.range", [.int], .list(.int)),
        ] + comparable.map { member("sort", [.list($0)], .list($0)) }

    static let sets: [Overload] = ["contains", "equivalent", "intersects"].map {
        global("sets.\($0)", [.list(anyType), .list(anyType)], .bool)
    }

    static let optionals: [Overload] = [
        global("optional.of", [anyType], .optional(anyType)), global("optional.none", [], .optional(anyType)),
        global("optional.ofNonZeroValue", [anyType], .optional(anyType)),
        global("optional.unwrap", [.list(.optional(anyType))], .list(anyType)),
        member("unwrapOpt", [.list(.optional(anyType))], .list(anyType)),
        member("hasValue", [.optional(anyType)], .bool), member("value", [.optional(anyType)], anyType),
        member("or", [.optional(anyType), .optional(anyType)], .optional(anyType)),
        member("orValue", [.optional(anyType), anyType], anyType),
    ]

    static let networks: [Overload] =
        [
            global("ip", [.string], address), member("ip", [network], address), global("isIP", [.string], .bool),
            global("ip.isCanonical", [.string], .bool), member("family", [address], .int),
            global("cidr", [.string], network), global("isCIDR", [.string], .bool),
            member("containsIP", [network, address], .bool), member("containsIP", [network, .string], .bool),
            member("containsCIDR", [network, network], .bool), member("containsCIDR", [network, .string], .bool),
            member("prefixLength", [network], .int), member("masked", [network], network),
        ]
        + ["isUnspecified", "isLoopback", "isGlobalUnicast", "isLinkLocalMulticast", "isLinkLocalUnicast"].map {
            member($0, [address], .bool)
        }
}
