// Seals provider credentials, at rest and on their way to the nodes: AES-256-GCM with a random nonce.

private import COpenSSL

/// A key for authenticated encryption.
///
/// With random 96-bit nonces one key may seal 2³² messages (NIST SP 800-38D §8.3); credentials stay far below.
public struct SealingKey: Sendable {
    private static let keyCount = 32
    private static let nonceCount = 12
    private static let tagCount = 16
    /// libcrypto counts in `int`; nothing we seal comes near.
    private static let maxCount = 1 << 30

    private let key: SecretBytes

    private init(key: SecretBytes) {
        self.key = key
    }

    /// The key with these bytes, which are copied; the copy is wiped when the last holder lets go.
    ///
    /// - Throws: `.wrongLength` unless there are 32.
    public init(bytes: [UInt8]) throws(SecretsError) {
        guard bytes.count == Self.keyCount else {
            throw .wrongLength(expected: Self.keyCount, got: bytes.count)
        }
        key = SecretBytes(copying: bytes)
    }

    /// A new random key.
    public static func generate() -> SealingKey { SealingKey(key: SecretBytes(randomCount: keyCount)) }

    /// Encrypts the bytes and binds them to a context.
    ///
    /// - Parameters:
    ///   - plaintext: at most 2³⁰ bytes.
    ///   - context: what the bytes belong to, such as a provider's id; needed again to open, not stored.
    /// - Returns: nonce (12 bytes) ‖ ciphertext ‖ tag (16 bytes).
    /// - Throws: when there is no memory or the plaintext is too long.
    public func seal(_ plaintext: [UInt8], context: [UInt8]) throws(SecretsError) -> [UInt8] {
        try seal(plaintext, context: context, nonce: SecureRandom.bytes(Self.nonceCount))
    }

    /// The same with a nonce of the test's choice: two messages under one nonce give the key's secrets away.
    func seal(_ plaintext: [UInt8], context: [UInt8], nonce: [UInt8]) throws(SecretsError) -> [UInt8] {
        precondition(nonce.count == Self.nonceCount)
        let cipher = GCM()
        try cipher.start(key: key, nonce: nonce, encrypts: true)
        try cipher.authenticate(context)
        var sealed = nonce
        sealed += try cipher.update(plaintext)
        sealed += try cipher.finishWithTag(count: Self.tagCount)
        return sealed
    }

    /// Decrypts what ``seal(_:context:)`` returned.
    ///
    /// - Parameters:
    ///   - sealed: bytes from anywhere.
    ///   - context: the context that they were sealed with.
    /// - Returns: the plaintext.
    /// - Throws: `.notAuthentic` when key, context or any bit is another one.
    public func open(_ sealed: [UInt8], context: [UInt8]) throws(SecretsError) -> [UInt8] {
        guard sealed.count >= Self.nonceCount + Self.tagCount else { throw .notAuthentic }
        let cipher = GCM()
        try cipher.start(key: key, nonce: Array(sealed.prefix(Self.nonceCount)), encrypts: false)
        try cipher.authenticate(context)
        var plaintext = try cipher.update(Array(sealed[Self.nonceCount..<sealed.count - Self.tagCount]))
        do throws(SecretsError) {
            try cipher.finish(checking: Array(sealed.suffix(Self.tagCount)))
        } catch {
            // Nobody sees what was decrypted from a forgery.
            wipe(&plaintext)
            throw error
        }
        return plaintext
    }

    /// One operation's EVP_CIPHER_CTX; freeing it wipes the key schedule.
    @safe private struct GCM: ~Copyable {
        private static let algorithm = FetchedCipher("AES-256-GCM")

        private let context: OpaquePointer

        init() {
            guard let context = unsafe EVP_CIPHER_CTX_new() else { preconditionFailure("out of memory") }
            unsafe self.context = context
        }

        deinit { unsafe EVP_CIPHER_CTX_free(context) }

        func start(key: SecretBytes, nonce: [UInt8], encrypts: Bool) throws(SecretsError) {
            let outcome = unsafe key.withBytes { key in
                unsafe EVP_CipherInit_ex2(context, Self.algorithm.cipher, key, nonce, encrypts ? 1 : 0, nil)
            }
            guard outcome == 1 else { throw .fromLibrary("EVP_CipherInit_ex2") }
        }

        func authenticate(_ bytes: [UInt8]) throws(SecretsError) {
            guard bytes.count <= SealingKey.maxCount else {
                throw .wrongLength(expected: SealingKey.maxCount, got: bytes.count)
            }
            guard !bytes.isEmpty else { return }
            var count: Int32 = 0
            guard unsafe EVP_CipherUpdate(context, nil, &count, bytes, Int32(bytes.count)) == 1 else {
                throw .fromLibrary("EVP_CipherUpdate")
            }
        }

        /// GCM is a stream mode: as many bytes come out as go in.
        func update(_ bytes: [UInt8]) throws(SecretsError) -> [UInt8] {
            guard bytes.count <= SealingKey.maxCount else {
                throw .wrongLength(expected: SealingKey.maxCount, got: bytes.count)
            }
            guard !bytes.isEmpty else { return [] }
            var output = [UInt8](repeating: 0, count: bytes.count)
            var count: Int32 = 0
            let outcome = unsafe EVP_CipherUpdate(context, &output, &count, bytes, Int32(bytes.count))
            guard outcome == 1, Int(count) == bytes.count else { throw .fromLibrary("EVP_CipherUpdate") }
            return output
        }

        func finishWithTag(count tagCount: Int) throws(SecretsError) -> [UInt8] {
            var nothing: UInt8 = 0
            var count: Int32 = 0
            guard unsafe EVP_CipherFinal_ex(context, &nothing, &count) == 1 else {
                throw .fromLibrary("EVP_CipherFinal_ex")
            }
            var tag = [UInt8](repeating: 0, count: tagCount)
            guard unsafe weir_gcm_get_tag(context, &tag, Int32(tagCount)) == 1 else {
                throw .fromLibrary("EVP_CTRL_AEAD_GET_TAG")
            }
            return tag
        }

        func finish(checking tag: [UInt8]) throws(SecretsError) {
            guard unsafe weir_gcm_set_tag(context, tag, Int32(tag.count)) == 1 else {
                throw .fromLibrary("EVP_CTRL_AEAD_SET_TAG")
            }
            var nothing: UInt8 = 0
            var count: Int32 = 0
            guard unsafe EVP_CipherFinal_ex(context, &nothing, &count) == 1 else {
                ERR_clear_error()
                throw .notAuthentic
            }
        }
    }
}

extension SealingKey: CustomStringConvertible, CustomReflectable {
    /// Never the key.
    public var description: String { "SealingKey([redacted])" }
    /// Without children.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// An algorithm fetched once for the process; libcrypto's own reference count makes it safe to share.
@safe private final class FetchedCipher: @unchecked Sendable {  // immutable
    let cipher: OpaquePointer

    init(_ name: String) {
        guard let cipher = unsafe EVP_CIPHER_fetch(nil, name, nil) else {
            preconditionFailure("libcrypto has no \(name)")
        }
        unsafe self.cipher = cipher
    }

    deinit { unsafe EVP_CIPHER_free(cipher) }
}

/// Overwrites the array's bytes; in place when nobody else holds them.
private func wipe(_ bytes: inout [UInt8]) {
    unsafe bytes.withUnsafeMutableBytes { bytes in unsafe OPENSSL_cleanse(bytes.baseAddress, bytes.count) }
}
