// Stage 1: whose key is it. Costs one dictionary look-up and one SHA-256 of 32 bytes; unknown keys cost the same.

private import Secrets
import Snapshot

/// Why a key opens nothing; clients are told the same for all but `.noSnapshot`.
enum AuthenticationFailure: Error {
    case missing, malformed, unknown, wrongSecret, revoked, expired, conflicting
}

/// Finds the key that a request shows.
enum Authenticate {
    /// `wk_` + 16 characters of id + `_` + 32 characters of secret.
    private static let tokenBytes = 3 + 16 + 1 + 32

    /// What an unknown key is compared with, so that it takes as long as a known one.
    private static let decoy = SHA256.digest([])

    /// The key whose id and secret the head shows; `nowMilliseconds` is the wall clock, for keys that expire.
    ///
    /// - Parameters:
    ///   - head: what the request shows.
    ///   - snapshot: whose keys there are.
    ///   - held: keys to refuse although the snapshot admits them; nearly always none.
    ///   - nowMilliseconds: the wall clock.
    /// - Returns: the key, which opens something.
    /// - Throws: why the request is not let in.
    static func key(
        of head: RequestHead,
        in snapshot: EnforcedSnapshot,
        held: Set<KeyID> = [],
        nowMilliseconds: Int64
    ) throws(AuthenticationFailure) -> EnforcedKey {
        guard !head.hasConflictingKeys else { throw .conflicting }
        guard let credential = head.credential, !credential.isEmpty else { throw .missing }
        let bytes = credential.utf8.span
        guard bytes.count == tokenBytes, hasMarks(bytes), let id = KeyID(ascii: bytes.extracting(3..<19))
        else { throw .malformed }
        let digest = SHA256.digest(bytes.extracting(20..<tokenBytes))
        guard let key = snapshot.key(id) else {
            _ = Digest.isEqualInConstantTime(digest, decoy)
            throw .unknown
        }
        guard Digest.isEqualInConstantTime(digest, key.digest) else { throw .wrongSecret }
        guard !key.isRevoked, key.app.isEnabled, held.isEmpty || !held.contains(id) else { throw .revoked }
        if let expiry = key.expiresAt, expiry <= nowMilliseconds { throw .expired }
        return key
    }

    private static func hasMarks(_ token: Span<UInt8>) -> Bool {
        token[0] == UInt8(ascii: "w") && token[1] == UInt8(ascii: "k") && token[2] == UInt8(ascii: "_")
            && token[19] == UInt8(ascii: "_")
    }
}
