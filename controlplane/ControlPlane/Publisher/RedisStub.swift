// Stands in until the reactor branch has its Redis client.
enum RedisReply: Equatable, Sendable { case integer(Int64), bulk([UInt8]), status([UInt8]), null, array([RedisReply]) }
struct RedisScript: Sendable { let source: [UInt8] }
struct RedisConfiguration: Sendable { let host: String; let port: Int; let commandDeadline: Duration }
enum RedisFailure: Error { case notConnected }
final class RedisClient: Sendable {
    init(_ configuration: RedisConfiguration) throws {}
    func command(_ arguments: [[UInt8]]) async throws -> RedisReply { throw RedisFailure.notConnected }
    func evaluate(_ script: RedisScript, keys: [[UInt8]], arguments: [[UInt8]]) async throws -> RedisReply { throw RedisFailure.notConnected }
    func close() async {}
}
