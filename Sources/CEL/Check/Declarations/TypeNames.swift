// The types that an expression can name: as values (`type(x) == int`), and as the well-known messages that a literal
// can build. Weir has no protobuf, hence no other messages.

/// The names of types.
enum TypeNames {
    /// What a name stands for as a value: the type inside of `type(…)`.
    static let values: [String: CELType] = [
        "int": .int, "uint": .uint, "double": .double, "bool": .bool, "string": .string, "bytes": .bytes,
        "null_type": .null, "list": .list(.dyn), "map": .map(.dyn, .dyn), "type": .type(nil),
        "google.protobuf.Timestamp": .timestamp, "google.protobuf.Duration": .duration,
        "optional_type": .optional(.dyn), "net.IP": StandardLibrary.address, "net.CIDR": StandardLibrary.network,
    ]

    /// An enumeration's only constant that a rule can meet; it means null.
    static let nullConstant = "google.protobuf.NullValue.NULL_VALUE"

    /// A message that a literal can build.
    struct Message {
        /// The type of the literal: messages turn into plain values at once.
        let type: CELType
        /// The fields' types.
        let fields: [String: CELType]
    }

    /// The messages, by full name.
    ///
    /// - Source: langdef "Dynamic Values" and google/protobuf `wrappers.proto`, `struct.proto`.
    static let messages: [String: Message] = {
        var messages: [String: Message] = [:]
        let wrapped: [(String, CELType)] = [
            ("BoolValue", .bool), ("BytesValue", .bytes), ("StringValue", .string), ("DoubleValue", .double),
            ("FloatValue", .double), ("Int32Value", .int), ("Int64Value", .int), ("UInt32Value", .uint),
            ("UInt64Value", .uint),
        ]
        for (name, type) in wrapped { messages[name] = Message(type: .wrapper(type), fields: ["value": type]) }
        let time: [String: CELType] = ["seconds": .int, "nanos": .int]
        messages["Timestamp"] = Message(type: .timestamp, fields: time)
        messages["Duration"] = Message(type: .duration, fields: time)
        messages["ListValue"] = Message(type: .list(.dyn), fields: ["values": .list(.dyn)])
        messages["Struct"] = Message(type: .map(.string, .dyn), fields: ["fields": .map(.string, .dyn)])
        messages["Any"] = Message(type: .dyn, fields: ["type_url": .string, "value": .bytes])
        messages["Value"] = Message(
            type: .dyn,
            fields: [
                "null_value": .null, "number_value": .double, "string_value": .string, "bool_value": .bool,
                "struct_value": .map(.string, .dyn), "list_value": .list(.dyn),
            ]
        )
        return Dictionary(uniqueKeysWithValues: messages.map { ("google.protobuf.\($0.key)", $0.value) })
    }()
}
