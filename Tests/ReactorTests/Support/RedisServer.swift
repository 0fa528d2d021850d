// A real redis-server of the test's own: a free port, a temporary directory, and gone with the test.

import Foundation
import Reactor

final class RedisServer: @unchecked Sendable {  // used by one test, one call at a time
    let port: Int
    private let directory: URL
    private var process: Process?

    init(password: String? = nil) async throws {
        port = TestServer.freePort()
        directory = FileManager.default.temporaryDirectory.appending(path: "weir-redis-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        try await start(password: password)
    }

    deinit {
        process?.terminate()
        if let process, process.isRunning { kill(process.processIdentifier, SIGKILL) }
        do { try FileManager.default.removeItem(at: directory) } catch { print("left behind: \(directory.path)") }
    }

    func start(password: String? = nil) async throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/redis-server")
        process.arguments =
            [
                "--port", String(port), "--bind", "127.0.0.1", "--dir", directory.path, "--save", "",
                "--appendonly", "no", "--daemonize", "no", "--loglevel", "warning",
            ] + (password.map { ["--requirepass", $0] } ?? [])
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        self.process = process
        var configuration = RedisConfiguration(port: port, commandDeadline: .seconds(1))
        configuration.password = password
        let client = try RedisClient(configuration)
        defer { client.close() }
        guard await client.waitUntilReady(within: .seconds(10)) else {
            throw StartFailure()
        }
    }

    struct StartFailure: Error {}

    func signal(_ number: Int32) {
        if let process { kill(process.processIdentifier, number) }
    }

    func killNow() {
        signal(SIGKILL)
        process?.waitUntilExit()
        process = nil
    }

    func client(
        commandDeadline: Duration = .seconds(2),
        _ adjust: (inout RedisConfiguration) -> Void = { _ in }
    ) async throws -> RedisClient {
        var configuration = RedisConfiguration(port: port, commandDeadline: commandDeadline)
        adjust(&configuration)
        let client = try RedisClient(configuration)
        _ = await client.waitUntilReady(within: .seconds(5))
        return client
    }
}
