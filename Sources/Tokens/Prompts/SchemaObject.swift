// What a function's JSON Schema says of one value: where the members that are rendered stand.

internal import LLMWire

/// The members of one schema object; places are 0 for none.
struct SchemaObject {
    /// The types that are rendered.
    enum Kind {
        case string
        case number
        case boolean
        case null
        case array
        case object
        case any
    }

    private(set) var kind = Kind.any
    private(set) var description = 0
    private(set) var properties = 0
    private(set) var required = 0
    private(set) var items = 0
    private(set) var values = 0
    private(set) var anyOf = 0
    private(set) var hasProperties = false

    /// Reads the members of the object at a place; anything else is `any`.
    init(at start: Int, _ body: Span<UInt8>) throws(ScanError) {
        guard start > 0 else { return }
        var reader = JSONReader(isStrict: true, at: start)
        guard try PromptReader.enter(&reader, UInt8(ascii: "{"), body) else { return }
        var isFirst = true
        while let key = try reader.nextKey(body, isFirst: &isFirst) {
            let start = reader.peek(body) == UInt8(ascii: "n") ? 0 : reader.index
            switch key.decodedCount {
            case 4 where key.equals("type", in: body):
                if let name = try reader.stringOrSkip(body) { kind = Self.kind(name, body) }
                continue
            case 4 where key.equals("enum", in: body): values = start
            case 5 where key.equals("items", in: body): items = start
            case 5 where key.equals("anyOf", in: body): anyOf = start
            case 8 where key.equals("required", in: body): required = start
            case 10 where key.equals("properties", in: body): properties = start
            case 11 where key.equals("description", in: body): description = start
            default: break
            }
            try reader.skip(body)
        }
        guard properties > 0 else { return }
        var members = JSONReader(isStrict: true, at: properties)
        guard try PromptReader.enter(&members, UInt8(ascii: "{"), body) else { return }
        isFirst = true
        hasProperties = try members.nextKey(body, isFirst: &isFirst) != nil
    }

    private static func kind(_ name: JSONString, _ body: Span<UInt8>) -> Kind {
        switch name.decodedCount {
        case 4 where name.equals("null", in: body): .null
        case 5 where name.equals("array", in: body): .array
        case 6 where name.equals("string", in: body): .string
        case 6 where name.equals("number", in: body): .number
        case 6 where name.equals("object", in: body): .object
        case 7 where name.equals("integer", in: body): .number
        case 7 where name.equals("boolean", in: body): .boolean
        default: .any
        }
    }
}

/// The names in a `required` list, as hashes: rendering one `?` more or less is no matter of safety.
struct RequiredNames {
    /// Names beyond these count as optional, so that no schema makes the search long.
    static let maxNames = 128

    private var hashes: [128 of UInt64] = .init(repeating: 0)
    private var count = 0

    init(at start: Int, _ body: Span<UInt8>) throws(ScanError) {
        guard start > 0 else { return }
        var reader = JSONReader(isStrict: true, at: start)
        guard try PromptReader.enter(&reader, UInt8(ascii: "["), body) else { return }
        var isFirst = true
        while count < Self.maxNames, try reader.nextElement(body, isFirst: &isFirst) {
            guard let name = try reader.stringOrSkip(body) else { continue }
            hashes[count] = Self.hash(name, body)
            count += 1
        }
    }

    func contains(_ name: JSONString, _ body: Span<UInt8>) -> Bool {
        guard count > 0 else { return false }
        let hash = Self.hash(name, body)
        for index in 0..<count where hashes[index] == hash { return true }
        return false
    }

    /// FNV-1a of the text.
    private static func hash(_ name: JSONString, _ body: Span<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        if name.hasEscapes {
            for byte in name.slice.decoded(in: body) { hash = (hash ^ UInt64(byte)) &* 0x0100_0000_01b3 }
        } else {
            for index in name.start..<name.end { hash = (hash ^ UInt64(body[index])) &* 0x0100_0000_01b3 }
        }
        return hash
    }
}
