// Key material in memory of its own: not copied by Swift's arrays, and overwritten when its last owner lets go.

private import COpenSSL

/// Immutable bytes that are wiped before they are freed.
@safe final class SecretBytes: @unchecked Sendable {  // written in init only, before anybody else can see it
    private let storage: UnsafeMutableBufferPointer<UInt8>

    /// Fills `count` bytes from the private random generator.
    init(randomCount count: Int) {
        unsafe storage = .allocate(capacity: count)
        unsafe storage.initialize(repeating: 0)
        unsafe expect(RAND_priv_bytes_ex(nil, storage.baseAddress, count, 0) == 1, "RAND_priv_bytes_ex")
    }

    init(copying bytes: [UInt8]) {
        unsafe storage = .allocate(capacity: bytes.count)
        _ = unsafe storage.initialize(fromContentsOf: bytes)
    }

    deinit {
        unsafe OPENSSL_cleanse(storage.baseAddress, storage.count)
        unsafe storage.deallocate()
    }

    func withBytes<R>(_ body: (UnsafePointer<UInt8>?) -> R) -> R {
        unsafe body(UnsafePointer(storage.baseAddress))
    }
}
