// A real redis-server of the test's own: a free port, a temporary directory, and gone with the test.

import Foundation
import Reactor

final class RedisServer: @unchecked Sendable {  // used by one test, one call at a time
    let port: Int
    private let directory: URL
    private var process: ChildProcess?

    init(password: String? = nil) async throws {
        port = TestServer.freePort()
        directory = FileManager.default.temporaryDirectory.appending(path: "weir-redis-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        try await start(password: password)
    }

    deinit {
        process = nil
        do { try FileManager.default.removeItem(at: directory) } catch { print("left behind: \(directory.path)") }
    }

    func start(password: String? = nil) async throws {
        process = try ChildProcess(
            "/usr/bin/redis-server",
            [
                "--port", String(port), "--bind", "127.0.0.1", "--dir", directory.path, "--save", "",
                "--appendonly", "no", "--daemonize", "no", "--logfile", directory.appending(path: "log").path,
            ] + (password.map { ["--requirepass", $0] } ?? [])
        )
        var configuration = RedisConfiguration(port: port, commandDeadline: .seconds(1))
        configuration.password = password
        let client = try RedisClient(configuration)
        defer { client.close() }
        guard await client.waitUntilReady(within: .seconds(10)) else {
            let log = try String(contentsOf: directory.appending(path: "log"), encoding: .utf8)
            throw StartFailure(log: String(log.suffix(500)))
        }
    }

    struct StartFailure: Error {
        let log: String
    }

    func signal(_ number: Int32) { process?.send(number) }

    func killNow() {
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
