// The mock provider of Tests/Fixtures: it speaks the providers' protocols, misbehaves on request, and remembers what
// it was sent.

import Foundation
import Stack
import Testing

/// A running mock provider.
final class MockProvider: Sendable {
    let url: String
    private let process: SupervisedProcess

    static var script: String {
        URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Fixtures/providers/mock.py").path
    }

    static func start(directory: String, key: String?) async throws -> MockProvider {
        let port = try FreePort.claim()
        let url = "http://127.0.0.1:\(port)"
        let specification = ProcessSpecification(
            name: "mock provider",
            executable: try Program.find("python3", hint: "apt-get install python3"),
            arguments: [script, "--port", "\(port)"] + (key.map { ["--key", $0] } ?? []),
            logFile: "\(directory)/mock.log"
        )
        let process = SupervisedProcess(
            specification,
            probe: { _ in
                do throws(StackError) {
                    return try await LoopbackClient.send(LoopbackRequest("GET", "\(url)/_mock/health")).status == 200
                } catch {
                    return false  // not listening yet
                }
            }
        )
        try await process.start()
        return MockProvider(url: url, process: process)
    }

    private init(url: String, process: SupervisedProcess) {
        self.url = url
        self.process = process
    }

    func stop() async { await process.stop() }

    /// What the provider answers without a gateway before it.
    func direct(_ body: JSONValue, to path: String) async throws -> LoopbackResponse {
        let headers = [
            (name: "Authorization", value: "Bearer \(WholeSystem.providerKey)"),
            (name: "Content-Type", value: "application/json"),
        ]
        return try await LoopbackClient.send(LoopbackRequest("POST", url + path, headers: headers, body: body.bytes))
    }

    /// What it was sent so far that holds a text: requests, newest last.
    func requests(holding text: String) async throws -> [JSONValue] {
        let answer = try await LoopbackClient.send(LoopbackRequest("GET", "\(url)/_mock/requests"))
        let all = try JSONValue(parsing: answer.body)["requests"]?.elements ?? []
        return all.filter { String(decoding: $0.bytes, as: UTF8.self).contains(text) }
    }
}
