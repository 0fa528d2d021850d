// Keyed digests for values that must not be forged or linked, such as idempotency keys and cursors.

private import COpenSSL

/// HMAC with SHA-256 (RFC 2104) by libcrypto.
public enum HMACSHA256 {
    /// The code of the message under the key; a key of any length, any thread.
    public static func code(_ message: [UInt8], key: [UInt8]) -> Digest {
        var words: [4 of UInt64] = .init(repeating: 0)
        // The MAC takes a nil key for "the key of before", so that an empty one needs an address.
        let keyCount = key.count
        let key = key.isEmpty ? [0] : key
        unsafe withUnsafeMutableBytes(of: &words) { words in
            var count = 0
            let output = unsafe words.baseAddress?.assumingMemoryBound(to: UInt8.self)
            let outcome = unsafe EVP_Q_mac(
                nil,
                OSSL_MAC_NAME_HMAC,
                nil,
                OSSL_DIGEST_NAME_SHA2_256,
                nil,
                key,
                keyCount,
                message,
                message.count,
                output,
                words.count,
                &count
            )
            unsafe expect(outcome != nil && count == 32, "EVP_Q_mac")
        }
        return Digest(words: words)
    }
}
