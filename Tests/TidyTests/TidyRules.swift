// What must stay true of the tree (STYLE §1), as pure functions from files to complaints.

/// The rules; each answers the lines to show when it is broken.
enum TidyRules {
    /// Lowest first: a target may import only targets before it.
    static let order = [
        "CCurl", "CHiredis", "CLinux", "COpenSSL", "CPostgres", "CRE2", "CZlib", "OTLPMessages",
        "Codec", "Breaker", "CEL", "LLMWire", "Tokens", "Limits", "Secrets", "Reactor", "Postgres", "Policy",
        "Snapshot",
        "Ledger", "Telemetry", "OTLP", "Stack",
        "Gateway", "weir-gateway", "ControlPlane", "weir-control", "weir",
    ]

    /// C modules and the targets that wrap them.
    static let wrappers: [String: Set<String>] = [
        "CCurl": ["Reactor"], "CHiredis": ["Reactor"], "CPostgres": ["Postgres"], "COpenSSL": ["Secrets"],
        "CRE2": ["CEL"], "CZlib": ["OTLP"],
        // Not a library to wrap but the kernel's calls that Glibc's module leaves out.
        "CLinux": ["Reactor", "Stack"],
    ]

    /// Targets that are not on a request's path and may be comfortable.
    static let offPath: Set<String> = ["OTLP", "Stack", "weir", "ControlPlane", "weir-control"]

    /// Targets that decide and parse: nothing in them may step around the compiler's checks.
    static let pure: Set<String> = ["Codec", "Breaker", "Tokens", "Limits", "Policy", "Ledger"]

    /// Files of those targets that may, each with its proof at its top (docs/decisions/0012).
    static let audited: Set<String> = [
        "Sources/Tokens/TextBytes.swift", "Sources/Tokens/Vocabulary/FixedTable.swift",
        "Sources/Tokens/Vocabulary/MappedFile.swift",
    ]

    static func upwardImports(_ files: [SourceFile]) -> [String] {
        let rank = Dictionary(uniqueKeysWithValues: order.enumerated().map { ($1, $0) })
        return files.flatMap { file in
            file.imports.compactMap { module -> String? in
                guard let imported = rank[module] else { return nil }
                guard let own = rank[file.target] else { return "\(file.path): target \(file.target) has no rank" }
                return imported < own ? nil : "\(file.path) imports \(module), which is not below \(file.target)"
            }
        }
    }

    /// The two planes share libraries and never each other.
    static func planesThatMeet(_ files: [SourceFile]) -> [String] {
        files.compactMap { file in
            let foreign = file.path.hasPrefix("dataplane/") ? "ControlPlane" : "Gateway"
            guard file.path.hasPrefix("dataplane/") || file.path.hasPrefix("controlplane/") else { return nil }
            return file.imports.contains(foreign) ? "\(file.path) imports \(foreign)" : nil
        }
    }

    static func foundationOnTheRequestPath(_ files: [SourceFile]) -> [String] {
        files.filter { !offPath.contains($0.target) && $0.imports.contains { $0.hasPrefix("Foundation") } }
            .map { "\($0.path) imports Foundation" }
    }

    static func foreignCModules(_ files: [SourceFile]) -> [String] {
        files.flatMap { file in
            file.imports.compactMap { module in
                guard let owners = wrappers[module], !owners.contains(file.target) else { return nil }
                return "\(file.path) imports \(module), which only \(owners.sorted()) may"
            }
        }
    }

    /// A comment of at least four words, before anything else.
    static func withoutReason(_ files: [SourceFile]) -> [String] {
        files.compactMap { file in
            let marks: [(end: String, mark: String)] = [
                (".swift", "//"), (".lua", "--"), (".sql", "--"), (".h", "//"), (".py", "#"), ("", "#"),
            ]
            guard let mark = marks.first(where: { file.path.hasSuffix($0.end) })?.mark else { return nil }
            var lines = file.lines[...]
            while let first = lines.first, first.hasPrefix("#!") || first.hasPrefix("// swift-tools-version") {
                lines.removeFirst()
            }
            let opening = lines.prefix { $0.hasPrefix(mark) }
            let words = opening.joined(separator: " ").split(separator: " ").filter { $0 != mark }
            return words.count >= 4 ? nil : "\(file.path) does not open with why it is here"
        }
    }

    static func vagueFolders(_ files: [SourceFile]) -> [String] {
        let vague: Set<Substring> = ["Utils", "Utilities", "Helpers", "Common", "Managers", "New", "Misc", "Shared"]
        return files.filter { !vague.isDisjoint(with: $0.path.split(separator: "/").dropLast()) }.map(\.path)
    }

    static func droppedErrors(_ files: [SourceFile]) -> [String] {
        complaints(files) { line in
            [" try? ", "(try? ", " try! ", "(try! ", "catch {}"].contains(where: line.contains)
        }
    }

    static func unfinishedWork(_ files: [SourceFile]) -> [String] {
        files.flatMap { file in
            file.lines.enumerated().filter { $1.contains("TODO") || $1.contains("FIXME") || $1.contains("XXX") }
                .map { "\(file.path):\($0 + 1):\($1)" }
        }
    }

    static func unsafeInPureTargets(_ files: [SourceFile]) -> [String] {
        complaints(files.filter { pure.contains($0.target) && !audited.contains($0.path) }) { line in
            line.split { !$0.isLetter && !$0.isNumber }.contains("unsafe")
        }
    }

    /// `@unchecked Sendable` and `nonisolated(unsafe)` are promises: the line before says why they hold.
    static func unexplainedPromises(_ files: [SourceFile]) -> [String] {
        files.flatMap { file -> [String] in
            let lines = file.lines
            return lines.indices.compactMap { index in
                let line = lines[index]
                guard !SourceFile.isComment(line),
                    line.contains("@unchecked Sendable") || line.contains("nonisolated(unsafe)")
                else { return nil }
                let isExplained = line.contains("//") || (index > 0 && SourceFile.isComment(lines[index - 1]))
                return isExplained ? nil : "\(file.path):\(index + 1):\(line)"
            }
        }
    }

    /// A file over 600 lines says in its first ten why it is one thing.
    static func longFiles(_ files: [SourceFile]) -> [String] {
        files.filter { file in
            file.lines.count > 600 && !file.lines.prefix(10).joined().contains("one ")
        }
        .map { "\($0.path) has \($0.lines.count) lines and does not say why it is one thing" }
    }

    private static func complaints(_ files: [SourceFile], _ isBad: (Substring) -> Bool) -> [String] {
        files.flatMap { file in
            file.lines.enumerated().filter { !SourceFile.isComment($1) && isBad($1) }
                .map { "\(file.path):\($0 + 1):\($1)" }
        }
    }
}
