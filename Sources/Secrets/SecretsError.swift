// What can go wrong with key material and sealed bytes; never carries any of them.

private import COpenSSL

/// Why a key was not made or sealed bytes were not opened.
public enum SecretsError: Error, Equatable, Sendable {
    /// Key material has another length than the one stated.
    case wrongLength(expected: Int, got: Int)
    /// The bytes are shorter than nonce and tag, were changed, or belong to another key or context.
    case notAuthentic
    /// libcrypto refused; `call` is its function, `code` its error code (`openssl errstr <hex>` explains it).
    case library(call: String, code: UInt)

    /// The thread's oldest libcrypto error as ours.
    ///
    /// Empties the thread's queue: libssl, under libpq and libcurl, reads a stale entry there as a failure of its own.
    static func fromLibrary(_ call: StaticString) -> SecretsError {
        let code = ERR_get_error()
        ERR_clear_error()
        return .library(call: "\(call)", code: UInt(code))
    }
}

/// For calls that fail only when memory ran out or OpenSSL is broken: going on would mean unchecked secrets.
func expect(_ isDone: Bool, _ call: StaticString) {
    guard !isDone else { return }
    preconditionFailure("\(SecretsError.fromLibrary(call))")
}
