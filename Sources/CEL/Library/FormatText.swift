// `%s`: values as text for people, without quotes. Lists and maps may share their parts, so that every part is paid
// for each time that it is written; map keys are sorted, so that the text is the same everywhere.

/// Values written for `%s`.
enum FormatText {
    /// - Throws: `.invalidArgument` for types that have no such text, `.malformedText` for bytes that are none.
    static func write(
        _ value: Value,
        depth: Int,
        to writer: inout Format.Writer,
        _ meter: inout Meter
    ) throws(EvaluationError) {
        switch value {
        case .null: try writer.append("null", &meter)
        case .bool(let bool): try writer.append(bool ? "true" : "false", &meter)
        case .int(let int): try writer.append(Array(String(int).utf8), &meter)
        case .uint(let uint): try writer.append(Array(String(uint).utf8), &meter)
        case .double(let double):
            // Finding the shortest digits is more work than writing them.
            try meter.touch(32)
            try writer.append(NumberText.fixedText(double), &meter)
        case .string(let text), .type(let text): try writer.append(text, &meter)
        case .bytes(let bytes):
            try meter.touch(bytes.count)
            guard bytes.isValidUTF8 else { throw EvaluationError(.malformedText) }
            try writer.append(bytes, &meter)
        case .timestamp(let time): try writer.append(TimeText.text(time), &meter)
        case .duration(let span): try writer.append(TimeText.text(duration: span), &meter)
        case .list(let elements): try write(elements, depth: depth, to: &writer, &meter)
        case .map(let map): try write(map, depth: depth, to: &writer, &meter)
        case .optional, .network, .error, .unset: throw EvaluationError(.invalidArgument)
        }
    }

    private static func write(
        _ elements: [Value],
        depth: Int,
        to writer: inout Format.Writer,
        _ meter: inout Meter
    ) throws(EvaluationError) {
        guard depth < Library.maxDepth else { throw EvaluationError(.workLimitExceeded) }
        try writer.append("[", &meter)
        for (index, element) in elements.enumerated() {
            if index > 0 { try writer.append(", ", &meter) }
            try write(element, depth: depth + 1, to: &writer, &meter)
        }
        try writer.append("]", &meter)
    }

    private static func write(
        _ map: MapValue,
        depth: Int,
        to writer: inout Format.Writer,
        _ meter: inout Meter
    ) throws(EvaluationError) {
        guard depth < Library.maxDepth else { throw EvaluationError(.workLimitExceeded) }
        try meter.touch(map.count)
        // Sorting looks at each key about as often as the number of keys has bits.
        let looks = Int.bitWidth - map.count.leadingZeroBitCount
        var entries: [(key: ByteString, index: Int)] = []
        entries.reserveCapacity(map.count)
        for (index, key) in map.keys.enumerated() {
            var text = Format.Writer()
            try write(key, depth: depth + 1, to: &text, &meter)
            try meter.touch(looks * (1 + text.octets.count >> 2))
            entries.append((ByteString(text.octets), index))
        }
        entries.sort { left, right in
            let order = Ordering.octets(left.key, right.key)
            return order == .equal ? left.index < right.index : order == .ascending
        }
        try writer.append("{", &meter)
        for (place, entry) in entries.enumerated() {
            if place > 0 { try writer.append(", ", &meter) }
            try writer.append(entry.key, &meter)
            try writer.append(": ", &meter)
            try write(map.values[entry.index], depth: depth + 1, to: &writer, &meter)
        }
        try writer.append("}", &meter)
    }
}
