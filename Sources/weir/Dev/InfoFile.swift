// `--info FILE`: where everything is and which process it is, for scripts and benchmarks. Replaced in one step, and
// again whenever a part was restarted; it holds the admin token and a key, so its mode is 0600.

import Foundation
import Stack

/// The info file's contents.
struct InfoFile {
    var controlURL: String
    var controlPID: Int32
    var adminToken: String
    var gateways: [(url: String, pid: Int32)]
    var redis: (port: Int, pid: Int32)
    var postgres: (port: Int, pid: Int32)
    var upstreamURL: String
    var app: (id: String, key: String)

    var json: JSONValue {
        [
            "control": ["url": .string(controlURL), "pid": pid(controlPID), "admin_token": .string(adminToken)],
            "gateways": .array(gateways.map { ["url": .string($0.url), "pid": pid($0.pid)] }),
            "redis": ["port": .integer(Int64(redis.port)), "pid": pid(redis.pid)],
            "postgres": ["port": .integer(Int64(postgres.port)), "pid": pid(postgres.pid)],
            "upstream": ["url": .string(upstreamURL)],
            "app": ["id": .string(app.id), "key": .string(app.key)],
        ]
    }

    func write(to path: String) throws(StackError) {
        try PrivateFile.write(Array("\(json.pretty)\n".utf8), to: path)
    }

    /// A reader that waits for the file must not find the last run's.
    static func remove(_ path: String) throws(StackError) {
        guard FileManager.default.fileExists(atPath: path) else { return }
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            throw .other("cannot remove \(path): \(error)")
        }
    }

    private func pid(_ value: Int32) -> JSONValue { .integer(Int64(value)) }
}
