// The provider fixtures as rows for table tests. They are read as bytes; only their index goes through Foundation.

import Foundation
import LLMWire
import Testing

/// One row of `Tests/Fixtures/providers/fixtures/index.json`.
struct Fixture: CustomTestStringConvertible {
    let file: String
    let kind: String
    let api: String
    let status: Int
    let headers: [String: String]
    let isEventStream: Bool
    let mustStrip: Bool
    let splits: [Int]
    /// The `expect` object as JSON, since a dictionary of anything cannot cross threads.
    private let expectedJSON: Data

    var testDescription: String { file }

    static let directory = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Fixtures/providers/fixtures")

    /// Every row, in the index's order.
    static let all: [Fixture] = {
        do {
            let index = try JSONSerialization.jsonObject(
                with: Data(contentsOf: directory.appending(path: "index.json"))
            )
            let rows = (index as? [String: Any])?["fixtures"] as? [[String: Any]] ?? []
            return try rows.map { try Fixture(row: $0) }
        } catch {
            Issue.record("the fixtures' index cannot be read: \(error)")
            return []
        }
    }()

    static func ofKind(_ kind: String) -> [Fixture] { all.filter { $0.kind == kind } }

    /// The contents of some rows' files.
    static func contents(_ rows: [Fixture]) -> [[UInt8]] {
        rows.map { row in
            do {
                return try row.bytes
            } catch {
                Issue.record("\(row.file) cannot be read: \(error)")
                return []
            }
        }
    }

    private init(row: [String: Any]) throws {
        file = row["file"] as? String ?? ""
        kind = row["kind"] as? String ?? ""
        api = row["api"] as? String ?? ""
        status = row["status"] as? Int ?? 0
        headers = row["headers"] as? [String: String] ?? [:]
        isEventStream = row["content_type"] as? String == "text/event-stream"
        mustStrip = row["strip_for_unasking_client"] as? Bool ?? false
        splits = row["splits"] as? [Int] ?? []
        expectedJSON = try JSONSerialization.data(withJSONObject: row["expect"] ?? [:])
    }

    var bytes: [UInt8] {
        get throws { try Array(Data(contentsOf: Self.directory.appending(path: file))) }
    }

    var expected: [String: Any] {
        get throws { try JSONSerialization.jsonObject(with: expectedJSON) as? [String: Any] ?? [:] }
    }

    /// The call whose body or answer it is; nil for calls that Weir does not serve.
    var endpoint: Endpoint? {
        switch api {
        case "openai.chat", "azure.chat", "gemini.compat": .chatCompletions
        case "openai.responses": .responses
        case "openai.embeddings": .embeddings
        case "anthropic.messages", "anthropic.count_tokens": .messages
        default: nil
        }
    }

    var format: WireFormat? { endpoint?.format ?? (api == "gemini.generate" ? .gemini : nil) }
}

/// A small, fast, seeded generator (SplitMix64), so that a failing case can be run again.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}

/// Cuts bytes at offsets.
func pieces(_ bytes: [UInt8], at cuts: [Int]) -> [[UInt8]] {
    let ends = cuts.filter { $0 > 0 && $0 < bytes.count }.sorted() + [bytes.count]
    var start = 0
    return ends.map { end in
        defer { start = end }
        return Array(bytes[start..<end])
    }
}

/// No cut, some cuts, and one byte at a time.
func splittings(_ bytes: [UInt8], _ cuts: [Int]) -> [[[UInt8]]] {
    [[bytes], pieces(bytes, at: cuts), bytes.map { [$0] }]
}

func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

/// Runs a tap over the pieces of an answer.
func tapped(_ pieces: [[UInt8]], _ format: WireFormat, isEventStream: Bool) -> TapResult {
    var tap = UsageTap(format: format, isEventStream: isEventStream)
    for piece in pieces { tap.observe(piece.span) }
    return tap.finish()
}

/// Runs a stripper over the pieces of a stream.
func stripped(_ pieces: [[UInt8]]) -> [UInt8] {
    var stripper = UsageStripper()
    var output: [UInt8] = []
    for piece in pieces { stripper.filter(piece.span, into: &output) }
    stripper.finish(into: &output)
    return output
}
