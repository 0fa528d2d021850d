// Signs the manifests of snapshots, so that a node enforces only what its control plane published.

private import COpenSSL

/// An Ed25519 private key (RFC 8032).
public struct SigningKey: Sendable {
    private let pair: KeyPair
    /// The public half.
    public let verifyingKey: VerifyingKey

    private init(seed: SecretBytes) throws(SecretsError) {
        guard let key = unsafe seed.withBytes({ unsafe EVP_PKEY_new_raw_private_key_ex(nil, "ED25519", nil, $0, 32) })
        else { throw .fromLibrary("EVP_PKEY_new_raw_private_key_ex") }
        pair = unsafe KeyPair(key)
        var bytes = [UInt8](repeating: 0, count: 32)
        var count = 32
        guard unsafe EVP_PKEY_get_raw_public_key(key, &bytes, &count) == 1, count == 32 else {
            throw .fromLibrary("EVP_PKEY_get_raw_public_key")
        }
        verifyingKey = try VerifyingKey(bytes: bytes)
    }

    /// The key of a seed.
    ///
    /// - Throws: `.wrongLength` unless there are 32 bytes.
    public init(seed: [UInt8]) throws(SecretsError) {
        guard seed.count == 32 else { throw .wrongLength(expected: 32, got: seed.count) }
        try self.init(seed: SecretBytes(copying: seed))
    }

    /// A new random key.
    public static func generate() -> SigningKey {
        do throws(SecretsError) {
            return try SigningKey(seed: SecretBytes(randomCount: 32))
        } catch {
            preconditionFailure("every 32 bytes are a seed: \(error)")
        }
    }

    /// The 32 bytes to keep secret and to make the key from again.
    public var seed: [UInt8] {
        var seed = [UInt8](repeating: 0, count: 32)
        var count = 32
        unsafe expect(EVP_PKEY_get_raw_private_key(pair.key, &seed, &count) == 1, "EVP_PKEY_get_raw_private_key")
        precondition(count == 32)
        return seed
    }

    /// The signature, 64 bytes; the same for the same message.
    ///
    /// Any thread.
    public func sign(_ message: [UInt8]) -> [UInt8] {
        guard let context = unsafe EVP_MD_CTX_new() else { preconditionFailure("out of memory") }
        defer { unsafe EVP_MD_CTX_free(context) }
        unsafe expect(EVP_DigestSignInit(context, nil, nil, nil, pair.key) == 1, "EVP_DigestSignInit")
        var signature = [UInt8](repeating: 0, count: 64)
        var count = 64
        unsafe expect(EVP_DigestSign(context, &signature, &count, message, message.count) == 1, "EVP_DigestSign")
        precondition(count == 64)
        return signature
    }
}

extension SigningKey: CustomStringConvertible, CustomReflectable {
    /// Never the seed.
    public var description: String { "SigningKey([redacted])" }
    /// Without children.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// Owns one EVP_PKEY, whose reads libcrypto allows from many threads at once; freeing it wipes the private half.
@safe final class KeyPair: @unchecked Sendable {  // immutable after init
    let key: OpaquePointer

    /// Takes the reference over.
    init(_ key: OpaquePointer) { unsafe self.key = key }

    deinit { unsafe EVP_PKEY_free(key) }
}
