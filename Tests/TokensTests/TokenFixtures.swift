// The reference rows and vocabularies as the tests read them, and a generator whose seed names a failing case.

import Foundation
import Testing

@testable import Tokens

/// Files of the repository.
enum TokenFixtures {
    static let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    static let vocabularies = root.appending(path: "Sources/Tokens/Resources").path

    /// Loaded from the sources, so that tests need no resource bundle; once for all tests.
    static let tokenizers: [EncodingName: Tokenizer] = {
        var tokenizers: [EncodingName: Tokenizer] = [:]
        for encoding in EncodingName.allCases {
            do {
                tokenizers[encoding] = try Tokenizer.load(encoding, folder: vocabularies)
            } catch {
                Issue.record("\(encoding): \(error)")
            }
        }
        return tokenizers
    }()

    static func tokenizer(_ encoding: EncodingName) throws -> Tokenizer { try #require(tokenizers[encoding]) }

    /// The rows of a file of `Tests/Fixtures/tokens`.
    static func rows(_ name: String) throws -> [[String: Any]] {
        let data = try Data(contentsOf: root.appending(path: "Tests/Fixtures/tokens/\(name)"))
        return try data.split(separator: UInt8(ascii: "\n")).map {
            try #require(try JSONSerialization.jsonObject(with: Data($0)) as? [String: Any])
        }
    }

    /// A row's text.
    static func text(_ row: [String: Any]) throws -> [UInt8] {
        if let text = row["text"] as? String { return Array(text.utf8) }
        if let base64 = row["text_b64"] as? String { return [UInt8](try #require(Data(base64Encoded: base64))) }
        let unit = Array(try #require(row["unit"] as? String).unicodeScalars)
        let count = try #require(row["characters"] as? Int)
        var text = String.UnicodeScalarView()
        for index in 0..<count { text.append(unit[index % unit.count]) }
        return Array(String(text).utf8)
    }

    static func encoding(_ name: String) throws -> EncodingName {
        let bytes = Array(name.utf8)
        let encoding = EncodingName(name: bytes.span)
        return try #require(encoding)
    }
}

/// Spans cannot stand in an expectation; arrays can.
extension Tokenizer {
    func count(of text: [UInt8], stoppingAfter limit: Int = .max) -> Int { count(text.span, stoppingAfter: limit) }

    func encode(of text: [UInt8]) -> [UInt32] { encode(text.span) }
}

extension ModelCache {
    mutating func profile(of name: String, override: EncodingName? = nil) -> ModelProfile {
        let bytes = Array(name.utf8)
        return profile(bytes.span, override: override)
    }
}

extension TokenRowCounter {
    mutating func answer(to row: String) -> String {
        let line = Array(row.utf8)
        return String(decoding: answer(line.span), as: UTF8.self)
    }
}

/// xorshift64*: the same numbers for the same seed, everywhere.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = (seed &+ 1) &* 0x9e37_79b9_7f4a_7c15 }

    mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_f491_4f6c_dd1d
    }
}
