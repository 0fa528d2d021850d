// What nobody may say: prompts, keys and tokens of the whole suite, searched for in everything that the programs wrote,
// showed and exported while it ran.

import Foundation
import OTLPReceiver
import Stack
import Testing

/// Texts that must stay where they belong.
struct Canary: Sendable {
    /// Stands in every prompt that `chat` makes.
    static let prompt = "canary-of-the-prompts"

    private let secrets = Locked<[String: String]>([:])

    /// Names a secret; what is searched for is its value.
    func add(_ name: String, _ value: String) { secrets.change { $0[name] = value } }

    /// The secrets that a text holds: as they are, percent-encoded, or in base64.
    func found(in text: String) -> [String] {
        var needles = secrets.value
        needles["a prompt"] = Self.prompt
        let bytes = Array(text.utf8)
        return needles.flatMap { name, value in
            Self.spellings(of: value).filter { bytes.contains($0) }.map { _ in name }
        }
    }

    private static func spellings(of value: String) -> [[UInt8]] {
        var spellings = [Array(value.utf8)]
        if let encoded = value.addingPercentEncoding(withAllowedCharacters: .alphanumerics), encoded != value {
            spellings.append(Array(encoded.utf8))
        }
        // Where it begins within three bytes decides how it looks; its ends depend on its neighbours.
        for offset in 0..<3 {
            let padded = Data([UInt8](repeating: 0, count: offset) + Array(value.utf8)).base64EncodedString()
            spellings.append(Array(padded.utf8.dropFirst(4).dropLast(4)))
        }
        return spellings
    }
}

extension Array where Element == UInt8 {
    fileprivate func contains(_ needle: [UInt8]) -> Bool {
        guard let first = needle.first, needle.count <= count else { return false }
        var start = startIndex
        while let index = self[start...].firstIndex(of: first), index + needle.count <= count {
            if self[index..<(index + needle.count)].elementsEqual(needle) { return true }
            start = index + 1
        }
        return false
    }
}

extension WholeSystem {
    /// Fails the suite for every secret that shows anywhere.
    func expectNoLeaks() async throws {
        var pages: [(name: String, text: String)] = [("what was exported", receiver.text)]
        let logs = "\(fleet.plan.directory)/logs"
        for file in try FileManager.default.contentsOfDirectory(atPath: logs) {
            let bytes = try #require(FileManager.default.contents(atPath: "\(logs)/\(file)"))
            pages.append((file, String(decoding: bytes, as: UTF8.self)))
        }
        for url in gateways + [fleet.controlURL] {
            for accept in ["text/plain", "application/openmetrics-text"] {
                let request = LoopbackRequest("GET", "\(url)/metrics", headers: [("Accept", accept)])
                pages.append((url, try await LoopbackClient.send(request).text))
            }
        }
        #expect(pages.count >= 3 + 2 * (gateways.count + 1), "a log of each program, at least")
        #expect(pages.allSatisfy { !$0.text.isEmpty })
        for (name, text) in pages {
            let found = canary.found(in: text)
            #expect(found.isEmpty, "\(name) holds \(found)")
        }
    }
}

@Suite struct `The canary` {
    @Test(arguments: [
        "x my+secret/value x", "x my%2Bsecret%2Fvalue", "bXkrc2VjcmV0L3ZhbHVl", "eG15K3NlY3JldC92YWx1ZXg=",
        "eHhteStzZWNyZXQvdmFsdWV4", #"{"content":"canary-of-the-prompts"}"#,
    ])
    func `sings`(text: String) {
        let canary = Canary()
        canary.add("it", "my+secret/value")
        #expect(canary.found(in: text).count == 1)
        #expect(canary.found(in: "my-secret-value, my+secret/valu and bXktc2VjcmV0").isEmpty)
    }
}
