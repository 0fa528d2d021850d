// A log line is one JSON object whatever is put into it: other programs read it, and hostile text must not forge one.

import Foundation  // a JSON parser that is not ours, as the judge
import Logging
import Secrets
import Synchronization
import Testing

@testable import Telemetry

@Suite struct `A log line` {
    @Test func `is one JSON object with the fixed fields and the flattened metadata`() throws {
        let line = try logged(
            "hello",
            ["a": ["b": "c", "n": .stringConvertible(7)], "flag": .stringConvertible(true)]
        )
        #expect(line["level"] as? String == "warning")
        #expect(line["label"] as? String == "weir.test")
        #expect(line["message"] as? String == "hello")
        #expect(line["a.b"] as? String == "c")
        #expect(line["a.n"] as? Int == 7)
        #expect(line["flag"] as? Bool == true)
        let time = try #require(line["time"] as? String)
        #expect(time.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil)
    }

    @Test(arguments: [
        "a\nb", "quote \" backslash \\", "\u{1B}[31mred", "\u{0}\u{1}\u{7F}\u{85}\u{9B}", "line\u{2028}two\u{2029}",
        "{\"level\":\"error\"}", "é 日本 🦀", "",
    ])
    func `carries any text without breaking or moving the terminal`(text: String) throws {
        var raw: [UInt8] = []
        let line = try logged(text, ["k\n\"": .string(text), "v": .stringConvertible(Shown(text: text))], raw: &raw)
        #expect(line["message"] as? String == text)
        #expect(line["v"] as? String == text)
        #expect(line["k\n\""] as? String == text)
        #expect(raw.dropLast().allSatisfy { $0 >= 0x20 && $0 != 0x7F })
        #expect(raw.last == UInt8(ascii: "\n"))
        #expect(!String(decoding: raw, as: UTF8.self).unicodeScalars.contains { (0x80...0x9F).contains($0.value) })
    }

    @Test func `is bounded, still JSON, and says that something is missing`() throws {
        var raw: [UInt8] = []
        var metadata: Logger.Metadata = [:]
        for index in 0..<64 { metadata["field\(index)"] = .string(String(repeating: "\u{1}é", count: 4_000)) }
        let line = try logged(String(repeating: "x", count: 100_000), metadata, raw: &raw)
        #expect(raw.count <= JSONLogHandler.maxLineBytes)
        #expect(line["truncated"] as? Bool == true)
        #expect((line["message"] as? String)?.utf8.count == JSONLogHandler.maxValueBytes + 3)
    }

    @Test func `keeps its fixed fields when metadata has their names`() throws {
        let line = try logged("real", ["message": "forged", "level": "error", "time": "never"])
        #expect(line["message"] as? String == "real")
        #expect(line["metadata.message"] as? String == "forged")
        #expect(line["metadata.level"] as? String == "error")
    }

    @Test func `prefers the event's metadata over the logger's`() throws {
        let lines = Lines()
        var logger = Logger(label: "weir.test") { JSONLogHandler(label: $0, level: .info, sink: lines.append) }
        logger[metadataKey: "node"] = "a"
        logger.info("one", metadata: ["node": "b"])
        logger.debug("off")
        #expect(lines.all.count == 1)
        #expect(try object(lines.all[0])["node"] as? String == "b")
    }

    @Test func `never shows a redacted value, however it is put in`() throws {
        struct Settings: Sendable { let token = Redacted("wk_secret") }
        let token = Redacted("wk_secret")
        let settings = Settings()
        var raw: [UInt8] = []
        _ = try logged(
            "\(token) \(settings) \(String(reflecting: settings))",
            ["a": "\(token)", "b": .stringConvertible(token), "c": "\(settings)", "d": .array(["\(token)"])],
            raw: &raw
        )
        let line = String(decoding: raw, as: UTF8.self)
        #expect(line.contains("[redacted]"))
        #expect(!line.contains("wk_secret"))
    }

    private struct Shown: CustomStringConvertible, Sendable {
        let text: String
        var description: String { text }
    }

    private final class Lines: Sendable {
        private let lines = Mutex<[[UInt8]]>([])
        var all: [[UInt8]] { lines.withLock { $0 } }
        @Sendable func append(_ line: [UInt8]) { lines.withLock { $0.append(line) } }
    }

    private func logged(_ message: String, _ metadata: Logger.Metadata) throws -> [String: Any] {
        var raw: [UInt8] = []
        return try logged(message, metadata, raw: &raw)
    }

    private func logged(_ message: String, _ metadata: Logger.Metadata, raw: inout [UInt8]) throws -> [String: Any] {
        let lines = Lines()
        let logger = Logger(label: "weir.test") { JSONLogHandler(label: $0, level: .info, sink: lines.append) }
        logger.warning("\(message)", metadata: metadata)
        raw = try #require(lines.all.first)
        return try object(raw)
    }

    private func object(_ line: [UInt8]) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(line)) as? [String: Any])
    }
}

@Suite struct `The log output` {
    @Test(.timeLimit(.minutes(1))) func `drops lines rather than wait for a reader that stopped`() {
        let pipe = Pipe()
        let line = [UInt8](repeating: UInt8(ascii: "x"), count: JSONLogHandler.maxLineBytes)
        let outcomes = (0..<64).map { _ in LogOutput.write(line, to: pipe.fileHandleForWriting.fileDescriptor) }
        #expect(outcomes.first == true)
        #expect(outcomes.last == false)  // a blocking write would hang here
        #expect(outcomes.count(where: { $0 }) == 16)  // 64 KiB, all of it in whole lines
    }
}

@Suite struct `A log level` {
    @Test func `comes from the flag`() throws { #expect(try Logs.level(flag: "debug") == .debug) }

    @Test func `that does not exist is refused`() {
        #expect(throws: UnknownLogLevel(text: "loud")) { try Logs.level(flag: "loud") }
    }
}

@Suite struct `A timestamp` {
    @Test(arguments: [  // date -u -d @seconds +%FT%TZ
        (0, "1970-01-01T00:00:00.000Z"),
        (951_827_696_789, "2000-02-29T12:34:56.789Z"),
        (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (Int64.max, "9999-12-31T23:59:59.999Z"),
        (Int64.min, "0000-01-01T00:00:00.000Z"),
    ])
    func `is RFC 3339 in UTC with milliseconds`(milliseconds: Int64, text: String) {
        #expect(Timestamp(milliseconds: milliseconds).rfc3339 == text)
    }
}
