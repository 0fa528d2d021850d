// Comparing header text as bytes, in any ASCII case: `String` comparison would fold what HTTP tells apart.

extension Span<UInt8> {
    /// Whether the bytes are `name`, which is in lower case, in any ASCII case.
    func isField(_ name: StaticString) -> Bool {
        count == name.utf8CodeUnitCount && hasFieldPrefix(name)
    }

    /// Whether the bytes are `name` in any ASCII case.
    func isField(_ name: Span<UInt8>) -> Bool {
        guard count == name.count else { return false }
        for index in 0..<count where self[index].asciiLowercased != name[index].asciiLowercased { return false }
        return true
    }

    /// Whether the bytes begin with `prefix`, which is in lower case, in any ASCII case.
    func hasFieldPrefix(_ prefix: StaticString) -> Bool {
        let length = prefix.utf8CodeUnitCount
        guard count >= length else { return false }
        for index in 0..<length where unsafe self[index].asciiLowercased != prefix.utf8Start[index] { return false }
        return true
    }
}

extension String {
    /// Whether the text is `name`, which is in lower case, in any ASCII case.
    func isField(_ name: StaticString) -> Bool { utf8.span.isField(name) }

    /// Equality of the UTF-8 bytes; `==` would call canonical equivalents equal.
    func hasSameBytes(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }

    /// Text from bytes.
    init(copying bytes: Span<UInt8>) {
        self = unsafe bytes.withUnsafeBufferPointer { unsafe String(decoding: $0, as: UTF8.self) }
    }
}

extension UInt8 {
    var asciiLowercased: UInt8 { self >= 0x41 && self <= 0x5A ? self | 0x20 : self }
}
