// Comparison that takes as long for a near miss as for a far one, so that its time teaches an attacker nothing.

private import COpenSSL

/// Whether the bytes are equal; the time depends on the counts only.
public func isEqualInConstantTime(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    guard a.count == b.count else { return false }
    return unsafe CRYPTO_memcmp(a, b, a.count) == 0
}
