// The official Python SDKs against a gateway: they parse more strictly than any test of ours would.

import Foundation
import Stack
import Testing

extension EndToEnd {
    @Suite struct `The official SDK` {
        private static let folder = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
            .deletingLastPathComponent()
        private static let python = folder.deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent(".build/venv/bin/python").path

        @Test(
            .enabled(if: FileManager.default.isExecutableFile(atPath: python), "./test installs the SDKs"),
            arguments: ["sdk_openai.py", "sdk_anthropic.py"]
        )
        func `works as against the provider itself`(script: String) async throws {
            let system = try WholeSystem.running
            let app = try await system.makeApp([("model_allowlist", ["allow": ["*"], "deny": ["mock-large"]])])
            let limited = try await system.makeApp([("rate_limit", ["limit": 1, "window": "31d"])])
            let specification = ProcessSpecification(
                name: script,
                executable: Self.python,
                arguments: [Self.folder.appendingPathComponent(script).path],
                environment: [
                    "WEIR_URL": system.gateways[0], "WEIR_KEY": app.key, "WEIR_LIMITED_KEY": limited.key,
                    "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1",
                ],
                logFile: "\(system.directory.path)/\(script)-\(UUID().uuidString).log"
            )
            let child = try await ChildProcess.start(specification)
            let isDone = await wait(upTo: .seconds(120)) { child.exitStatus != nil }
            let log = String(
                decoding: FileManager.default.contents(atPath: specification.logFile) ?? Data(),
                as: UTF8.self
            )
            #expect(isDone, "\(log)")
            #expect(child.exitStatus == .code(0), "\(log)")
            #expect(log.hasSuffix("all good\n"), "\(log)")
        }
    }
}
