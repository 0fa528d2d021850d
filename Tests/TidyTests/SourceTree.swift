// The tree as the tidiness rules see it: paths and texts.

import Foundation

/// A file of the repository.
struct SourceFile: Sendable {
    /// From the repository's root.
    let path: String
    let text: String

    var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }

    /// The target it belongs to, by its folder.
    var target: String {
        let parts = path.split(separator: "/").map(String.init)
        return parts.count > 1 ? parts[1] : ""
    }

    /// The modules it imports.
    var imports: [String] {
        lines.compactMap { line in
            let words = line.split(separator: " ")
            guard let place = words.firstIndex(of: "import"), words.count > place + 1 else { return nil }
            let isDeclaration = words[..<place].allSatisfy { word in
                ["public", "private", "internal", "package", "fileprivate"].contains(word) || word.hasPrefix("@")
            }
            return isDeclaration ? String(words[words.count - 1].prefix { $0 != "." }) : nil
        }
    }

    /// Whether a line is only a comment.
    static func isComment(_ line: Substring) -> Bool {
        line.drop { $0 == " " }.hasPrefix("//")
    }
}

/// All files below the repository's folders that we write by hand.
struct SourceTree: Sendable {
    let root: String
    let files: [SourceFile]

    var swift: [SourceFile] { files.filter { $0.path.hasSuffix(".swift") } }
    /// What is compiled into programs and libraries.
    var sources: [SourceFile] { swift.filter { !$0.path.hasPrefix("Tests/") && $0.path != "Package.swift" } }

    static let whole: SourceTree = {
        let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
            .deletingLastPathComponent()
            .deletingLastPathComponent().path
        var files: [SourceFile] = []
        for folder in ["Sources", "dataplane", "controlplane", "schemas", "Tests", ".ci"] {
            guard let walk = FileManager.default.enumerator(atPath: "\(root)/\(folder)") else { continue }
            for case let name as String in walk {
                if name.hasPrefix("Fixtures/") || name.contains("__pycache__") || name.hasSuffix(".pb.swift") {
                    continue
                }
                add("\(folder)/\(name)", root, &files)
            }
        }
        for name in ["Package.swift", "run", "test", "README.md", "CONTRIBUTING.md", "docs/architecture.md"] {
            add(name, root, &files)
        }
        return SourceTree(root: root, files: files.sorted { $0.path < $1.path })
    }()

    private static func add(_ path: String, _ root: String, _ files: inout [SourceFile]) {
        guard let bytes = FileManager.default.contents(atPath: "\(root)/\(path)"),
            let text = String(validating: bytes, as: UTF8.self)
        else { return }
        files.append(SourceFile(path: path, text: text))
    }
}
