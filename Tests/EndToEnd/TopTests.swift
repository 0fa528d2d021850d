// `weir top --once` against a running fleet.

import Foundation
import Stack
import Testing

extension EndToEnd {
    @Suite struct `Top` {
        private let system: WholeSystem

        init() throws { system = try WholeSystem.running }

        private func top(_ arguments: [String], token: String) async throws -> (
            status: ChildProcess.ExitStatus, text: String
        ) {
            let specification = ProcessSpecification(
                name: "weir top",
                executable: "\(WholeSystem.builtPrograms)/weir",
                arguments: ["top", "--once", "--interval", "1"] + arguments,
                environment: ["WEIR_ADMIN_TOKEN": token],
                logFile: "\(system.directory.path)/top-\(UUID().uuidString).log"
            )
            let status = try await ChildProcess.start(specification).exit()
            let bytes = FileManager.default.contents(atPath: specification.logFile) ?? Data()
            return (status, String(decoding: bytes, as: UTF8.self))
        }

        @Test func `shows every node with what it does`() async throws {
            let app = try await system.makeApp()
            let load = Task {
                while !Task.isCancelled { do { _ = try await app.send(chat("Show me")) } catch { return } }
            }
            defer { load.cancel() }
            let token = system.fleet.keys.adminToken
            let shown = try await top(["--api", system.fleet.controlURL, "--json"], token: token)
            #expect(shown.status == .code(0), "\(shown.text)")
            let json = try JSONValue(parsing: Array(shown.text.utf8))
            let nodes = try #require(json["nodes"]?.elements)
            #expect(nodes.map { $0["id"]?.text } == ["gateway-1", "gateway-2"])
            #expect(nodes.allSatisfy { $0["state"]?.text == "ok" || $0["state"]?.text == "behind" }, "\(shown.text)")
            #expect(nodes[0]["requests_per_second"] != .number(0) && nodes[0]["requests_per_second"] != .integer(0))
            let plain = try await top(["--api", system.fleet.controlURL], token: token)
            #expect(plain.text.contains("gateway-2") && plain.text.contains("REFUSALS/S"))
        }

        @Test func `says what is wrong, and fails`() async throws {
            let refused = try await top(["--api", system.fleet.controlURL], token: "wrong")
            #expect(refused.status != .code(0) && refused.text.contains("status 401"))
            let nowhere = try await top(["--api", "http://127.0.0.1:1"], token: "x")
            #expect(nowhere.status != .code(0) && nowhere.text.contains("control plane: connect"))
        }
    }
}
