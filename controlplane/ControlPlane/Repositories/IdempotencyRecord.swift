// A create that may be sent again: the first answer is kept, sealed, for a day, and given again to the same request.
// The claim and the answer are in the change's own transaction, so a lost connection leaves either both or none.

import Postgres
import Secrets

/// One `Idempotency-Key` and the request it came with.
struct IdempotencyRecord: Sendable {
    static let maxKeyBytes = 255

    /// Method, path and query are part of it: the same key elsewhere is another key, and a canary is another change.
    private let key: String
    private let request: [UInt8]

    /// nil when the call has no such header.
    ///
    /// - Throws: 400 for a key that is empty, too long or not printable.
    init?(_ call: Call) throws(Problem) {
        guard call.method == "POST", let key = call.headers["idempotency-key"] else { return nil }
        guard (1...Self.maxKeyBytes).contains(key.utf8.count), key.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else {
            throw .badRequest("Idempotency-Key must be 1 to \(Self.maxKeyBytes) printable ASCII characters.")
        }
        self.key = "\(call.method) \(call.path)\(call.query.canonical) \(key)"
        request = SHA256.digest(call.body).bytes
    }

    /// Claims the key, or finds the answer that it led to.
    ///
    /// - Returns: nil when this is the first request; it then holds the claim until the transaction ends.
    func claim(in session: PostgresConnection, key sealingKey: SealingKey) async throws -> (Answer, Int64)? {
        let claimed = try await session.query(
            """
            INSERT INTO idempotency_keys (key, request, created_at) VALUES ($1, $2, now())
            ON CONFLICT (key) DO NOTHING RETURNING key
            """,
            [.text(key), .bytes(request)]
        )
        guard claimed.isEmpty else { return nil }
        let rows = try await session.query("SELECT request, answer FROM idempotency_keys WHERE key = $1", [.text(key)])
        guard let row = rows.first, try row.bytes("request") == request else { throw Problem.idempotencyKeyReused }
        let bytes = try sealingKey.open(try row.bytes("answer"), context: Array(key.utf8))
        let stored = try JSONParser.parse(bytes)
        guard let status = stored["status"]?.integerValue, let body = stored["body"]?.stringValue,
            let version = stored["version"]?.integerValue, case .object(let headers)? = stored["headers"]
        else { throw Problem.internalFailure }
        var answer = Answer(status: Int(status), body: Array(body.utf8))
        for header in headers { answer.headers[header.name] = header.value.stringValue }
        answer.headers["idempotency-replayed"] = "true"
        return (answer, version)
    }

    /// Keeps the answer for a repetition.
    func keep(
        _ answer: Answer,
        _ version: Int64,
        in session: PostgresConnection,
        key sealingKey: SealingKey
    ) async throws {
        let headers = answer.headers.sorted { $0.key < $1.key }
        let stored: JSON = [
            "status": .integer(Int64(answer.status)), "version": .integer(version),
            "headers": .object(headers.map { JSON.Member(name: $0.key, value: .string($0.value)) }),
            "body": .string(String(decoding: answer.body, as: UTF8.self)),
        ]
        let sealed = try sealingKey.seal(stored.bytes, context: Array(key.utf8))
        _ = try await session.execute(
            "UPDATE idempotency_keys SET answer = $2 WHERE key = $1",
            [.text(key), .bytes(sealed)]
        )
    }

    /// Forgets what is older than a day.
    static func purge(_ pool: PostgresPool) async throws {
        _ = try await pool.execute("DELETE FROM idempotency_keys WHERE created_at < now() - interval '24 hours'")
    }
}
