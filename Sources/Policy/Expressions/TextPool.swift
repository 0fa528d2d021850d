// Thousands of apps have the same tier, organisation and tags. While a snapshot is loaded, equal texts become one.

import CEL

/// Texts and lists of texts that were met before; for one loading, on one thread.
public final class TextPool {
    /// Distinct texts that are remembered; names are mostly distinct, and those that come after so many are not shared.
    private static let capacity = 4096

    private var values: [String: Value] = [:]
    private var lists: [[String]: Value] = [:]
    private var strings: Set<String> = []

    /// Makes an empty pool.
    public init() {}

    /// An equal text, the same memory for all that ask.
    public func string(_ text: String) -> String {
        // Short texts have no memory of their own; `==` on strings is Unicode's, so only bytes that are equal count.
        guard text.utf8.count > 15 else { return text }
        if let index = strings.firstIndex(of: text) {
            let known = strings[index]
            return known.utf8.elementsEqual(text.utf8) ? known : text
        }
        if strings.count < Self.capacity { strings.insert(text) }
        return text
    }

    /// A text as rules see it.
    func value(_ text: String) -> Value {
        if let known = values[text], case .string(let bytes) = known, bytes.bytes.elementsEqual(text.utf8) {
            return known
        }
        let value = Value.text(text)
        if values.count < Self.capacity { values[text] = value }
        return value
    }

    /// A list of texts as rules see it.
    func list(_ texts: [String]) -> Value {
        if let known = lists[texts], case .list(let elements) = known, Self.isEqual(elements, texts) { return known }
        let list = Value.list(texts.map(value))
        if lists.count < Self.capacity { lists[texts] = list }
        return list
    }

    private static func isEqual(_ values: [Value], _ texts: [String]) -> Bool {
        guard values.count == texts.count else { return false }
        for (value, text) in zip(values, texts) {
            guard case .string(let bytes) = value, bytes.bytes.elementsEqual(text.utf8) else { return false }
        }
        return true
    }
}
