// The JSON that nodes and the control plane exchange: one small object each way, and the answer's flat, so it is written
// and read by hand here, without Foundation. `/readyz?verbose` is written by it, too.

import Telemetry

/// A JSON object as it grows.
struct ReportText {
    private var text: [UInt8] = [UInt8(ascii: "{")]

    mutating func append(_ name: String, _ value: String) {
        begin(name)
        JSONText.append(value, to: &text, maxBytes: 1_024)
    }

    mutating func append(_ name: String, _ value: some FixedWidthInteger) {
        begin(name)
        text.append(contentsOf: String(value).utf8)
    }

    /// A value that is JSON already.
    mutating func append(_ name: String, raw json: [UInt8]) {
        begin(name)
        text.append(contentsOf: json)
    }

    mutating func append(_ name: String, raw json: String) { append(name, raw: Array(json.utf8)) }

    var bytes: [UInt8] { text + [UInt8(ascii: "}")] }

    private mutating func begin(_ name: String) {
        if text.count > 1 { text.append(UInt8(ascii: ",")) }
        JSONText.append(name, to: &text)
        text.append(UInt8(ascii: ":"))
    }

    /// Finds `"name": <digits>` in a flat object of the control plane's; nil when it is not there or not a number.
    static func integer(named name: String, in json: [UInt8]) -> Int? {
        guard let index = valueIndex(of: name, in: json) else { return nil }
        let digits = json[index...].prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        return Int(String(decoding: digits, as: UTF8.self))
    }

    /// Finds `"name": "<text>"` in a flat object of the control plane's, for texts without escapes; nil when it is not
    /// there or not a text.
    static func text(named name: String, in json: [UInt8]) -> String? {
        guard var index = valueIndex(of: name, in: json), index < json.count, json[index] == UInt8(ascii: "\"") else {
            return nil
        }
        index += 1
        guard let end = json[index...].firstIndex(of: UInt8(ascii: "\"")) else { return nil }
        return String(validating: json[index..<end], as: UTF8.self)
    }

    /// Finds `"name": true` in a flat object of the control plane's.
    static func isTrue(_ name: String, in json: [UInt8]) -> Bool {
        guard let index = valueIndex(of: name, in: json) else { return false }
        return json[index...].starts(with: "true".utf8)
    }

    private static func valueIndex(of name: String, in json: [UInt8]) -> Int? {
        let key = Array("\"\(name)\"".utf8)
        guard json.count > key.count, let start = firstIndex(of: key, in: json) else { return nil }
        var index = start + key.count
        skipSpace(in: json, from: &index)
        guard index < json.count, json[index] == UInt8(ascii: ":") else { return nil }
        index += 1
        skipSpace(in: json, from: &index)
        return index
    }

    private static func firstIndex(of key: [UInt8], in json: [UInt8]) -> Int? {
        (0...(json.count - key.count)).first { json[$0..<($0 + key.count)].elementsEqual(key) }
    }

    private static func skipSpace(in json: [UInt8], from index: inout Int) {
        while index < json.count, [0x20, 0x09, 0x0A, 0x0D].contains(json[index]) { index += 1 }
    }
}
