// Bearer tokens are compared as digests, in constant time: neither the length nor a shared prefix shows.

import Secrets

/// The SHA-256 of a token; the token itself is not kept.
struct TokenDigest: Sendable {
    /// Fewest bytes a token may have.
    static let minBytes = 16

    private let digest: Digest

    /// nil when the token is too short to be a secret.
    init?(_ token: String) {
        guard token.utf8.count >= Self.minBytes else { return nil }
        digest = SHA256.digest(Array(token.utf8))
    }

    /// Costs one SHA-256 of what was presented.
    func matches(_ presented: String) -> Bool {
        Digest.isEqualInConstantTime(digest, SHA256.digest(Array(presented.utf8)))
    }
}
