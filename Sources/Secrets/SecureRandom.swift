// Random bytes and tokens for ids, secrets and nonces, from libcrypto's generator.

private import COpenSSL

/// Cryptographically secure randomness.
public enum SecureRandom {
    /// The characters of a random text.
    public struct Alphabet: Sendable {
        let characters: [UInt8]

        /// 0-9, A-Z, a-z: 5.95 bits a character.
        public static let base62 = Alphabet("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
        /// 0-9, a-z: 5.17 bits a character.
        public static let base36 = Alphabet("0123456789abcdefghijklmnopqrstuvwxyz")

        private init(_ characters: String) { self.characters = Array(characters.utf8) }
    }

    /// That many random bytes.
    ///
    /// Traps when the machine has no entropy, rather than going on with guessable secrets.
    public static func bytes(_ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        unsafe expect(RAND_bytes_ex(nil, &bytes, count, 0) == 1, "RAND_bytes_ex")
        return bytes
    }

    /// A random text.
    ///
    /// - Parameters:
    ///   - length: how many characters.
    ///   - alphabet: the characters, each equally likely in every place.
    /// - Returns: ASCII text.
    public static func string(length: Int, alphabet: Alphabet) -> String {
        let characters = alphabet.characters
        // Bytes from `limit` on are dropped: they would favour the first characters.
        let limit = 256 - 256 % characters.count
        var text: [UInt8] = []
        text.reserveCapacity(length)
        while text.count < length {
            for byte in bytes(length - text.count) where Int(byte) < limit {
                text.append(characters[Int(byte) % characters.count])
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
