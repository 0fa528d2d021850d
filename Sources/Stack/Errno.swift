// The C library's error number and its text: the one place that reads them.

private import Glibc

enum Errno {
    /// The number left by the call just made on this thread.
    static var last: Int32 { errno }

    static func text(_ number: Int32) -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        // The GNU variant of strerror_r may answer from its own table instead of the buffer; XSI's fills the buffer.
        // Swift imports the XSI one, which returns 0 when it has a text.
        guard unsafe strerror_r(number, &buffer, buffer.count) == 0 else { return "error \(number)" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
