// The tree is the architecture: what must stay true of it is tested like anything else.

import Foundation
import Testing

@Suite struct `The tree` {
    private let tree = SourceTree.whole

    @Test func `is found`() {
        #expect(tree.sources.count > 40)
        #expect(
            tree.files.contains { $0.path == "Sources/Reactor/Reactor.swift" || $0.path.contains("/Reactor/Loop/") }
        )
    }

    @Test func `has no import that points up`() { #expect(TidyRules.upwardImports(tree.sources) == []) }

    @Test func `keeps the two planes apart`() { #expect(TidyRules.planesThatMeet(tree.sources) == []) }

    @Test func `has no Foundation on the request path`() {
        #expect(TidyRules.foundationOnTheRequestPath(tree.sources) == [])
    }

    @Test func `imports each C module in its wrapper only`() {
        #expect(TidyRules.foreignCModules(tree.sources) == [])
    }

    @Test func `opens every file with its reason`() {
        let files = tree.files.filter { file in
            [".swift", ".lua", ".sql", ".h", ".py"].contains { file.path.hasSuffix($0) }
                || ["run", "test", ".ci/run", ".ci/install"].contains(file.path)
        }
        #expect(TidyRules.withoutReason(files) == [])
    }

    @Test func `names folders for parts of the system`() { #expect(TidyRules.vagueFolders(tree.files) == []) }

    @Test func `drops no error`() { #expect(TidyRules.droppedErrors(tree.sources) == []) }

    @Test func `has no unfinished work in it`() { #expect(TidyRules.unfinishedWork(tree.sources) == []) }

    @Test func `has nothing unsafe where it decides and parses`() {
        #expect(TidyRules.unsafeInPureTargets(tree.sources) == [])
    }

    @Test func `explains each promise to the compiler`() {
        #expect(TidyRules.unexplainedPromises(tree.sources) == [])
    }

    @Test func `has files that can be read at one sitting`() {
        #expect(TidyRules.longFiles(tree.swift) == [])
        let counts = tree.swift.map { $0.lines.count }.sorted()
        #expect(counts[counts.count / 2] <= 150, "half of the files")
        #expect(counts[counts.count * 9 / 10] <= 400, "nine of ten files")
    }

    @Test func `has no schema that nothing embeds, and no link to nowhere`() throws {
        var targets: Set<String> = []
        for folder in ["Sources", "controlplane", "dataplane"] {
            let walk = try #require(FileManager.default.enumerator(atPath: "\(tree.root)/\(folder)"))
            for case let name as String in walk {
                let path = "\(tree.root)/\(folder)/\(name)"
                let attributes = try FileManager.default.attributesOfItem(atPath: path)
                guard attributes[.type] as? FileAttributeType == .typeSymbolicLink else { continue }
                #expect(FileManager.default.fileExists(atPath: path), "\(folder)/\(name) is a link to nowhere")
                targets.insert(URL(fileURLWithPath: path).resolvingSymlinksInPath().path)
            }
        }
        let schemas = tree.files.filter { $0.path.hasPrefix("schemas/") && !$0.path.hasSuffix(".md") }
        #expect(schemas.count >= 2)
        let root = URL(fileURLWithPath: tree.root).resolvingSymlinksInPath().path
        for schema in schemas {
            #expect(targets.contains("\(root)/\(schema.path)"), "\(schema.path) is used by nothing")
        }
    }

    @Test func `is drawn whole in docs/architecture.md`() throws {
        let map = try #require(tree.files.first { $0.path == "docs/architecture.md" }).text
        let folders = Set(tree.sources.map { $0.path.split(separator: "/").prefix(2).joined(separator: "/") })
        for folder in folders.sorted() {
            #expect(map.contains("`\(folder)`"), "\(folder) is not on the map")
        }
        // And what the map names is there.
        for match in map.matches(of: #/`([A-Za-z.]+/[A-Za-z0-9_./+-]+)`/#) {
            let path = String(match.1)
            #expect(FileManager.default.fileExists(atPath: "\(tree.root)/\(path)"), "\(path) is named and not there")
        }
    }
}

@Suite struct `A tidiness rule` {
    private func file(_ path: String, _ text: String) -> SourceFile { SourceFile(path: path, text: text) }

    @Test func `sees what breaks it`() {
        #expect(TidyRules.upwardImports([file("Sources/Codec/A.swift", "import Policy")]).count == 1)
        #expect(TidyRules.upwardImports([file("Sources/Policy/A.swift", "public import Codec")]).isEmpty)
        #expect(TidyRules.upwardImports([file("Sources/Strange/A.swift", "import Codec")]).count == 1)
        #expect(TidyRules.planesThatMeet([file("controlplane/ControlPlane/A.swift", "import Gateway")]).count == 1)
        #expect(
            TidyRules.planesThatMeet([file("dataplane/Gateway/A.swift", "@testable import ControlPlane")]).count == 1
        )
        #expect(
            TidyRules.foundationOnTheRequestPath([file("dataplane/Gateway/A.swift", "import FoundationEssentials")])
                .count == 1
        )
        #expect(TidyRules.foreignCModules([file("Sources/Postgres/A.swift", "private import CCurl")]).count == 1)
        #expect(TidyRules.withoutReason([file("Sources/A.swift", "import Codec")]).count == 1)
        #expect(TidyRules.withoutReason([file("Sources/A.swift", "// A file.\nimport Codec")]).count == 1)
        #expect(TidyRules.withoutReason([file("run", "#!/bin/sh\n# Says in words why.\n")]).isEmpty)
        #expect(TidyRules.vagueFolders([file("Sources/Utils/A.swift", "")]).count == 1)
        #expect(TidyRules.droppedErrors([file("Sources/A/A.swift", "let a = try? b()")]).count == 1)
        #expect(TidyRules.droppedErrors([file("Sources/A/A.swift", "// not try? ever")]).isEmpty)
        #expect(TidyRules.unsafeInPureTargets([file("Sources/Policy/A.swift", "let a = unsafe b")]).count == 1)
        #expect(TidyRules.unexplainedPromises([file("A.swift", "class A: @unchecked Sendable {}")]).count == 1)
        #expect(
            TidyRules.unexplainedPromises([file("A.swift", "// Safe: m.\nclass A: @unchecked Sendable {}")]).isEmpty
        )
        #expect(TidyRules.longFiles([file("A.swift", String(repeating: "\n", count: 601))]).count == 1)
    }
}
