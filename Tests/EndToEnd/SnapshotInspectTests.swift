// `weir snapshot inspect` against a running Weir: the control plane's word and a node's disk, told alike.

import Foundation
import Stack
import Testing

extension EndToEnd {
    @Suite struct `weir snapshot inspect` {
        private func run(_ arguments: [String]) async throws -> (exit: ChildProcess.ExitStatus?, output: String) {
            let system = try WholeSystem.running
            let log = "\(system.directory.path)/inspect-\(UUID().uuidString).log"
            let child = try await ChildProcess.start(
                ProcessSpecification(
                    name: "weir snapshot inspect",
                    executable: "\(WholeSystem.builtPrograms)/weir",
                    arguments: ["snapshot", "inspect"] + arguments
                        + ["--deployment", "\(system.directory.path)/weir"],
                    logFile: log
                )
            )
            _ = await wait(upTo: .seconds(30)) { child.exitStatus != nil }
            return (
                child.exitStatus, String(decoding: FileManager.default.contents(atPath: log) ?? Data(), as: UTF8.self)
            )
        }

        @Test func `says of the control plane and of a node's disk what is enforced`() async throws {
            let system = try WholeSystem.running
            let app = try await system.makeApp([("request_size", ["max_bytes": 4321])])
            let control = system.fleet.controlURL
            let records = try await run([control, "--limit", "0"])
            #expect(records.exit == .code(0))
            #expect(records.output.contains("app id=\(app.id) "))
            #expect(records.output.contains("key id=\(app.keyID) app=\(app.id) "))
            #expect(!records.output.contains(WholeSystem.providerKey))
            let enforced = try await run([control, "--enforced", "--limit", "0"])
            #expect(enforced.output.contains("key id=\(app.keyID) app=\(app.id) "))
            #expect(enforced.output.contains("max_body_bytes=4321 "))
            let short = try await run([control, "--limit", "1"])
            #expect(
                short.output.split(separator: "\n").count == 2 && short.output.contains(" more; --limit 0 shows all")
            )
            // The node saves behind the swap that `?wait=applied` waited for.
            var disk = try await run(["\(system.directory.path)/weir/nodes/gateway-1", "--limit", "0"])
            for _ in 0..<50 where !disk.output.contains(app.keyID) {
                disk = try await run(["\(system.directory.path)/weir/nodes/gateway-1", "--limit", "0"])
            }
            #expect(disk.exit == .code(0) && disk.output.contains("whole, generation "))
            #expect(disk.output.contains("key id=\(app.keyID) app=\(app.id) "))
        }

        @Test func `says why there is nothing to show`() async throws {
            let system = try WholeSystem.running
            #expect(try await run(["\(system.directory.path)"]).exit == .code(1))
            let wrong = try await run(["\(system.gateways[0])"])
            #expect(wrong.exit != .code(0) && wrong.output.contains("404"))
        }
    }
}
