// `weir tokens bench`: how fast this machine counts, on texts of one's own and on those that are made to be slow.

import ArgumentParser
import Foundation
import Tokens

struct TokensBenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure counting on one core.",
        discussion: """
            Each FILE is counted in chunks of 8 KB, the best of five rounds, by processor time. Without files only the \
            adversarial texts are run: 100 KB of one repeated unit.
            """
    )

    @Option(help: "The encoding: o200k_base, cl100k_base, p50k_base, r50k_base.")
    var encoding = "o200k_base"

    @Argument(help: "Files of UTF-8 text.")
    var files: [String] = []

    func run() throws {
        let name = Array(encoding.utf8)
        guard let encoding = EncodingName(name: name.span) else {
            throw ValidationError("there is no encoding \(encoding)")
        }
        let start = ContinuousClock.now
        let tokenizer = try Tokenizer.shared(encoding)
        print("load \(ContinuousClock.now - start)")
        for file in files {
            let text = [UInt8](try Data(contentsOf: URL(fileURLWithPath: file)))
            show(file, Self.chunks(text), tokenizer)
        }
        for (name, unit) in Self.adversarial {
            var text: [UInt8] = []
            while text.count < 100_000 { text += unit }
            show("100 KB of \(name)", [text], tokenizer)
        }
        var generator = SystemRandomNumberGenerator()
        show("100 KB at random", [(0..<100_000).map { _ in UInt8.random(in: 0...255, using: &generator) }], tokenizer)
    }

    private static let adversarial: [(String, [UInt8])] = [
        ("a", Array("a".utf8)), ("blanks", Array(" ".utf8)), ("LF", Array("\n".utf8)), ("=", Array("=".utf8)),
        ("0", Array("0".utf8)), ("U+4E2D", Array("\u{4e2d}".utf8)), ("emoji", Array("\u{1f600}".utf8)),
        ("ab", Array("ab".utf8)), ("byte FF", [0xff]),
    ]

    /// Chunks of about 8 KB that end where a character does.
    private static func chunks(_ text: [UInt8]) -> [[UInt8]] {
        var chunks: [[UInt8]] = []
        var start = 0
        while start < text.count {
            var end = min(start + 8_192, text.count)
            while end < text.count, text[end] & 0xc0 == 0x80 { end += 1 }
            chunks.append(Array(text[start..<end]))
            start = end
        }
        return chunks
    }

    private func show(_ name: String, _ chunks: [[UInt8]], _ tokenizer: Tokenizer) {
        var best = Double.infinity
        var tokens = 0
        for _ in 0..<5 {
            tokens = 0
            let start = clock()
            for chunk in chunks { tokens += tokenizer.count(chunk.span) }
            best = min(best, Double(clock() - start) / Double(CLOCKS_PER_SEC))
        }
        let bytes = chunks.reduce(0) { $0 + $1.count }
        let speed = Double(bytes) / max(best, 1e-9) / 1e6
        let shown = speed.formatted(.number.precision(.fractionLength(1)))
        print("\(name): \(bytes) bytes, \(tokens) tokens, \(shown) MB/s")
    }
}
