// `replace`, `split` and `join`: the string functions whose results can be larger than what they are made from. They
// look first and pay for the result before they make it.

extension Strings {
    /// The limit is how many are replaced at most; all when negative.
    static func replace(
        _ text: Value,
        _ part: Value,
        _ replacement: Value,
        limit: Value,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        let (text, part) = try strings(text, part)
        guard case .string(let replacement) = replacement else { throw EvaluationError(.noSuchOverload) }
        let limit = try index(limit)
        let size = text.codePointCount
        let partSize = part.codePointCount
        try meter.charge(1 + tenths(max(size, 1), times: max(partSize, 1)))
        let most = limit < 0 ? Int.max : Int(clamping: limit)

        // An empty part is found before every code point and at the end.
        let needle = part.isEmpty ? nil : Needle(part)
        var found = 0
        if let needle {
            var offset = 0
            while found < most, let next = needle.first(in: text, from: offset) {
                found += 1
                offset = next + part.count
            }
        } else {
            found = min(most, size + 1)
        }
        guard found > 0 else {
            try meter.charge(UInt64(size))
            return .string(text)
        }
        let (added, overflows) = found.multipliedReportingOverflow(by: replacement.count)
        guard !overflows, added <= ByteString.maxCount, text.count + added <= ByteString.maxCount else {
            throw EvaluationError(.workLimitExceeded)
        }
        try meter.touch(text.count + found)
        try meter.charge(UInt64(size - found * partSize + found * replacement.codePointCount))

        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count - found * part.count + added)
        var offset = 0
        for _ in 0..<found {
            if let needle {
                guard let next = needle.first(in: text, from: offset) else { break }
                bytes.append(text.slice(offset..<next))
                bytes.append(replacement)
                offset = next + part.count
            } else {
                bytes.append(replacement)
                let next = text.offset(after: 1, from: offset) ?? text.count
                bytes.append(text.slice(offset..<next))
                offset = next
            }
        }
        bytes.append(text.slice(offset..<text.count))
        return .string(ByteString(bytes))
    }

    /// The limit is how many pieces there are at most, the last having the rest; any number when negative.
    static func split(
        _ text: Value,
        _ separator: Value,
        limit: Value,
        _ meter: inout Meter
    ) throws(EvaluationError) -> Value {
        let (text, separator) = try strings(text, separator)
        let limit = try index(limit)
        let size = text.codePointCount
        try meter.charge(11 + tenths(size + 1))
        guard limit != 0, !(text.isEmpty && separator.isEmpty) else { return .list([]) }
        let most = limit < 0 ? Int.max : Int(clamping: limit)

        var pieces: [Value] = []
        var offset = 0
        if separator.isEmpty {
            let count = min(most, size)
            try meter.charge(UInt64(count))
            pieces.reserveCapacity(count)
            while pieces.count < count - 1, let next = text.offset(after: 1, from: offset) {
                pieces.append(.string(text.slice(offset..<next)))
                offset = next
            }
        } else {
            // Preparing the search is linear in the separator, which no unit pays for.
            try meter.touch(separator.count)
            let needle = Needle(separator)
            while pieces.count < most - 1, let next = needle.first(in: text, from: offset) {
                try meter.charge(1)
                pieces.append(.string(text.slice(offset..<next)))
                offset = next + separator.count
            }
            try meter.charge(1)
        }
        pieces.append(.string(text.slice(offset..<text.count)))
        return .list(pieces)
    }

    static func join(_ list: Value, separator: Value, _ meter: inout Meter) throws(EvaluationError) -> Value {
        guard case .list(let elements) = list, case .string(let separator) = separator else {
            throw EvaluationError(.noSuchOverload)
        }
        try meter.charge(1 + tenths(elements.count + 1))
        guard !elements.isEmpty else { return .string(ByteString([])) }
        try meter.touch(elements.count)
        let separatorSize = separator.codePointCount
        var count = separator.count.multipliedReportingOverflow(by: elements.count - 1).partialValue
        for (index, element) in elements.enumerated() {
            guard case .string(let text) = element else { throw EvaluationError(.noSuchOverload) }
            try meter.charge(UInt64(text.codePointCount + (index == 0 ? 0 : separatorSize)))
            count = count.addingReportingOverflow(text.count).partialValue
            guard count >= 0, count <= ByteString.maxCount else { throw EvaluationError(.workLimitExceeded) }
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        for (index, element) in elements.enumerated() {
            if index > 0 { bytes.append(separator) }
            if case .string(let text) = element { bytes.append(text) }
        }
        return .string(ByteString(bytes))
    }
}
