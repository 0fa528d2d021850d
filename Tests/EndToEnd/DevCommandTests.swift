// `weir dev`, the program behind ./run: its demo is a check, its info file is right, and it leaves nothing behind.

import Foundation
import Glibc
import Stack
import Testing

@Suite(.serialized) struct `weir dev` {
    private let directory: TemporaryDirectory
    private let base: Int

    init() throws {
        directory = try TemporaryDirectory(prefix: "weir-dev")
        base = try Self.claimBase()
    }

    @Test func `runs the demo once, says so, and leaves no process behind`() async throws {
        let child = try await start(["--once", "--info", "\(directory.path)/info.json"])
        #expect(await wait(upTo: .seconds(120)) { child.exitStatus != nil })
        #expect(child.exitStatus == .code(0), "\(log)")
        #expect(log.contains("You said:"), "the answer")
        #expect(log.contains("outcome completed"), "the record")
        #expect(log.contains("curl -N http://127.0.0.1:\(base)/v1/chat/completions"))
        #expect(log.contains("from openai import OpenAI"))
        let info = try info()
        for pid in pids(info) { #expect(kill(pid, 0) != 0, "\(pid) is still there") }
        for port in base..<(base + 20) { #expect(FreePort.isFree(port)) }

        // The same data again: found, not made twice.
        let again = try await start(["--once", "--info", "\(directory.path)/info.json"])
        #expect(await wait(upTo: .seconds(120)) { again.exitStatus != nil })
        #expect(again.exitStatus == .code(0), "\(log)")
        #expect(try self.info()["app"] == info["app"])
    }

    @Test func `tells where everything is, and again when a part was restarted`() async throws {
        let mock = try await MockProvider.start(directory: directory.path, key: nil)
        let file = "\(directory.path)/info.json"
        let child = try await start([
            "--info", file, "--gateways", "3", "--upstream", "\(mock.url)/v1", "--models", "mock-small,mock-large",
        ])
        #expect(await wait(upTo: .seconds(120)) { FileManager.default.fileExists(atPath: file) }, "\(log)")
        let first = try info()
        #expect(first["control"]?["url"]?.text == "http://127.0.0.1:\(base + 16)")
        #expect(
            first["gateways"]?.elements?.compactMap { $0["url"]?.text }
                == (0..<3).map { "http://127.0.0.1:\(base + $0)" }
        )
        #expect(first["redis"]?["port"]?.int == Int64(base + 17))
        #expect(first["postgres"]?["port"]?.int == Int64(base + 18))
        #expect(first["upstream"]?["url"]?.text == "\(mock.url)/v1")
        #expect(
            Set(try #require(first.members?.keys)) == ["control", "gateways", "redis", "postgres", "upstream", "app"]
        )
        for pid in pids(first) { #expect(kill(pid, 0) == 0, "\(pid) should run") }
        let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        for gateway in 0..<3 { #expect(try await ask(first, gateway).status == 200) }

        let victim = try #require(first["gateways"]?[1]?["pid"]?.int)
        #expect(kill(Int32(victim), SIGKILL) == 0)
        #expect(
            await wait(upTo: .seconds(30)) {
                do {
                    let now = try info()["gateways"]?[1]?["pid"]?.int ?? 0
                    return now != 0 && now != victim
                } catch {
                    return false
                }
            },
            "\(log)"
        )
        let second = try info()
        #expect(second["gateways"]?[0] == first["gateways"]?[0])
        #expect(try await ask(second, 1).status == 200)

        child.send(SIGTERM)
        #expect(await wait(upTo: .seconds(60)) { child.exitStatus != nil })
        #expect(child.exitStatus == .code(0), "\(log)")
        for pid in pids(second) { #expect(kill(pid, 0) != 0, "\(pid) is still there") }
        #expect(!FileManager.default.fileExists(atPath: file))
        await mock.stop()
    }

    @Test func `that is killed takes everything with it`() async throws {
        let file = "\(directory.path)/info.json"
        let child = try await start(["--info", file, "--gateways", "1"])
        #expect(await wait(upTo: .seconds(120)) { FileManager.default.fileExists(atPath: file) }, "\(log)")
        let pids = pids(try info())
        child.send(SIGKILL)
        _ = await child.exit()
        #expect(
            await wait(upTo: .seconds(20)) { (base..<(base + 20)).allSatisfy { FreePort.isFree($0) } },
            "\(pids) should have died with their parent"
        )
    }

    @Test func `says which port is taken, by whose part`() async throws {
        let squatter = try await PrivateRedis.start(directory: "\(directory.path)/squatter", port: base + 16)
        let child = try await start([])
        #expect(await child.exit() == .code(1))
        #expect(log.contains("port \(base + 16) (control) is taken"))
        await squatter.stop()
    }

    // MARK: what the tests above use

    private var logFile: String { "\(directory.path)/weir-dev.log" }
    private var log: String { String(decoding: FileManager.default.contents(atPath: logFile) ?? Data(), as: UTF8.self) }

    private func start(_ arguments: [String]) async throws -> ChildProcess {
        try await ChildProcess.start(
            ProcessSpecification(
                name: "weir dev",
                executable: "\(WholeSystem.builtPrograms)/weir",
                arguments: ["dev", "--data", "\(directory.path)/data", "--port-base", "\(base)"] + arguments,
                logFile: logFile
            )
        )
    }

    private func info() throws -> JSONValue {
        let bytes = try #require(FileManager.default.contents(atPath: "\(directory.path)/info.json"))
        return try JSONValue(parsing: Array(bytes))
    }

    private func pids(_ info: JSONValue) -> [Int32] {
        let parts = [info["control"], info["redis"], info["postgres"]] + (info["gateways"]?.elements ?? [])
        return parts.compactMap { $0?["pid"]?.int }.map { Int32($0) }
    }

    private func ask(_ info: JSONValue, _ gateway: Int) async throws -> LoopbackResponse {
        let url = try #require(info["gateways"]?[gateway]?["url"]?.text)
        let key = try #require(info["app"]?["key"]?.text)
        return try await LoopbackClient.send(
            LoopbackRequest(
                "POST",
                "\(url)/v1/chat/completions",
                headers: [("Authorization", "Bearer \(key)"), ("Content-Type", "application/json")],
                body: chat().bytes
            )
        )
    }

    /// Twenty free ports in a row, the first of them claimed for this test.
    private static func claimBase() throws -> Int {
        for _ in 0..<100 {
            let port = try FreePort.claim()
            if (port..<(port + 20)).allSatisfy({ FreePort.isFree($0) }) { return port }
        }
        throw StackError.other("no twenty free ports in a row")
    }
}
