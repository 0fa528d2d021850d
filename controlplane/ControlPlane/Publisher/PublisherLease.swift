// Who publishes: a row with a deadline that its holder renews. A session's advisory lock would stay with a process that
// was stopped (SIGSTOP) for as long as it is; a lease runs out, and its fence tells Redis whose writes came too late.

import Postgres
import Secrets

/// One control plane's claim to be the publisher.
struct PublisherLease: Sendable {
    /// How long a renewal holds.
    ///
    /// With the pause between attempts it bounds a hand-over: at most 1.8 s after the holder died.
    static let term = Duration.milliseconds(1500)
    /// Between two renewals by the holder: two may be missed.
    static let renewal = Duration.milliseconds(400)
    /// Between two attempts of the others.
    static let attempt = Duration.milliseconds(250)

    /// Names this process.
    let holder = hex(SecureRandom.bytes(8))

    /// Takes the lease when it is free, or renews it.
    ///
    /// - Returns: the fence, the same while it is held without a break and greater with each new holder; nil while
    ///   another control plane holds it.
    func take(_ session: some SQLSession) async throws -> Int64? {
        let rows = try await session.query(
            """
            UPDATE publisher
            SET holder = $1,
                fence = CASE WHEN holder = $1 AND expires_at > clock_timestamp() THEN fence
                    ELSE greatest(fence + 1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint) END,
                expires_at = clock_timestamp() + $2 * interval '1 millisecond'
            WHERE holder = $1 OR expires_at <= clock_timestamp()
            RETURNING fence
            """,
            [.text(holder), .int(Int64(Self.term / .milliseconds(1)))]
        )
        return try rows.first?.int("fence")
    }

    /// Lifts the fence over one that Redis has seen; the next renewal brings it.
    ///
    /// - Returns: whether the lease is held.
    func raise(above seen: Int64, _ session: some SQLSession) async throws -> Bool {
        let rows = try await session.query(
            """
            UPDATE publisher SET fence = greatest(fence, $2::bigint + 1)
            WHERE holder = $1 AND expires_at > clock_timestamp()
            RETURNING fence
            """,
            [.text(holder), .int(seen)]
        )
        return !rows.isEmpty
    }

    /// Gives it up, so that the next one need not wait for its end.
    func release(_ session: some SQLSession) async throws {
        _ = try await session.query(
            "UPDATE publisher SET expires_at = '-infinity' WHERE holder = $1",
            [.text(holder)]
        )
    }
}
