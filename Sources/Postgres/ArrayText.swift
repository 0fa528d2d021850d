// PostgreSQL's text form of one-dimensional arrays: {a,"with \"quotes\"",NULL}.

/// Array literals, as "Array Input and Output Syntax" of the PostgreSQL manual (§8.15.6) has them.
enum ArrayText {
    /// Every element in quotes, so that none can be taken for NULL or end the array.
    static func format(_ values: [String]) -> String {
        var text: [UInt8] = [UInt8(ascii: "{")]
        for (index, value) in values.enumerated() {
            if index > 0 { text.append(UInt8(ascii: ",")) }
            text.append(UInt8(ascii: "\""))
            for byte in value.utf8 {
                if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { text.append(UInt8(ascii: "\\")) }
                text.append(byte)
            }
            text.append(UInt8(ascii: "\""))
        }
        text.append(UInt8(ascii: "}"))
        return String(decoding: text, as: UTF8.self)
    }

    /// The elements, nil for NULL; nil for anything but a one-dimensional array that starts at 1.
    static func parse(_ text: [UInt8]) -> [[UInt8]?]? {
        guard text.count >= 2, text.first == UInt8(ascii: "{"), text.last == UInt8(ascii: "}") else { return nil }
        let end = text.count - 1
        var elements: [[UInt8]?] = []
        var position = 1
        guard position < end else { return [] }
        while true {
            var element: [UInt8] = []
            var isQuoted = false
            if text[position] == UInt8(ascii: "\"") {
                isQuoted = true
                position += 1
                while position < end, text[position] != UInt8(ascii: "\"") {
                    if text[position] == UInt8(ascii: "\\") { position += 1 }
                    guard position < end else { return nil }
                    element.append(text[position])
                    position += 1
                }
                position += 1
            } else {
                while position < end, text[position] != UInt8(ascii: ",") {
                    guard text[position] != UInt8(ascii: "{") else { return nil }
                    element.append(text[position])
                    position += 1
                }
            }
            elements.append(!isQuoted && element == Array("NULL".utf8) ? nil : element)
            guard position < end else { return position == end ? elements : nil }
            guard text[position] == UInt8(ascii: ",") else { return nil }
            position += 1
            guard position < end else { return nil }
        }
    }
}
