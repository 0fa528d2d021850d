// The examples of docs/cel.md are rules that somebody will paste: each must check as it stands.

import Foundation
import Policy
import Testing

@Suite struct `The rules in docs/cel.md` {
    private static let lines: [String] = {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        guard let text = try? String(contentsOf: root.appending(path: "docs/cel.md"), encoding: .utf8) else {
            return []
        }
        let blocks = text.components(separatedBy: "\n```\n")
        // Blocks without a language hold rules, one on each line: every second piece, after the prose before the first.
        let rules = blocks.indices.filter { $0 > 0 && $0 % 2 == 0 }.map { blocks[$0] }
        return rules.flatMap { $0.split(separator: "\n") }.map(String.init)
            .filter { !$0.isEmpty && !$0.hasPrefix("//") && !$0.hasPrefix("weir ") }
    }()

    @Test func `are there`() { #expect(Self.lines.count >= 18, "\(Self.lines)") }

    @Test(arguments: lines)
    func `check`(rule: String) throws {
        let kind = try #require(PolicyRegistry.standard.kind(named: "cel"))
        #expect(throws: Never.self) { _ = try kind.compile(["deny_if": .string(rule)]) }
    }
}
