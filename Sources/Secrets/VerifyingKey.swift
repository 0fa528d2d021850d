// What a node holds to tell its control plane's snapshots from anybody else's.

private import COpenSSL

/// An Ed25519 public key (RFC 8032).
public struct VerifyingKey: Equatable, Sendable {
    private let pair: KeyPair
    /// The 32 bytes.
    public let bytes: [UInt8]

    /// The key with these bytes.
    ///
    /// - Throws: `.wrongLength` unless there are 32. That they are a point of the curve is seen at the first signature.
    public init(bytes: [UInt8]) throws(SecretsError) {
        guard bytes.count == 32 else { throw .wrongLength(expected: 32, got: bytes.count) }
        guard let key = unsafe EVP_PKEY_new_raw_public_key_ex(nil, "ED25519", nil, bytes, 32) else {
            throw .fromLibrary("EVP_PKEY_new_raw_public_key_ex")
        }
        pair = unsafe KeyPair(key)
        self.bytes = bytes
    }

    /// The first 8 bytes of the SHA-256 of the key: enough to say which key signed.
    public var id: [UInt8] { Array(SHA256.digest(bytes).bytes.prefix(8)) }

    /// Whether the signature is this key's for the message; false for anything malformed.
    public func isValid(signature: [UInt8], for message: [UInt8]) -> Bool {
        guard signature.count == 64 else { return false }
        guard let context = unsafe EVP_MD_CTX_new() else { preconditionFailure("out of memory") }
        defer { unsafe EVP_MD_CTX_free(context) }
        unsafe expect(EVP_DigestVerifyInit(context, nil, nil, nil, pair.key) == 1, "EVP_DigestVerifyInit")
        // 1 is the only yes: 0 is a wrong signature, negative a malformed one.
        let outcome = unsafe EVP_DigestVerify(context, signature, signature.count, message, message.count)
        if outcome != 1 { ERR_clear_error() }
        return outcome == 1
    }

    /// Keys are equal when their bytes are.
    public static func == (left: VerifyingKey, right: VerifyingKey) -> Bool { left.bytes == right.bytes }
}
