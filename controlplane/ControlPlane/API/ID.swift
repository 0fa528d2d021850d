// Names of things: a prefix that says the kind, and enough randomness that ids never collide and cannot be guessed.

import Secrets

/// Makes ids and key texts.
enum ID {
    /// `<prefix>_<22 base62 characters>`: 131 bits.
    static func make(_ prefix: String) -> String {
        "\(prefix)_\(SecureRandom.string(length: 22, alphabet: .base62))"
    }

    /// A key's public part: 16 characters of [0-9a-z].
    static func makeKeyID() -> String { SecureRandom.string(length: 16, alphabet: .base36) }

    /// A key's secret: 32 characters of [0-9A-Za-z], 190 bits, so that a plain digest of it is enough at rest.
    static func makeKeySecret() -> String { SecureRandom.string(length: 32, alphabet: .base62) }
}
