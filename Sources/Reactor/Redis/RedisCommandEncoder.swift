// Commands as Redis reads them, every argument by its length, so that no byte of one can end it.
//
//   *<count>\r\n  then for each argument  $<bytes>\r\n <the bytes> \r\n

/// Commands of one turn, encoded one after the other into one buffer.
struct RedisCommandEncoder {
    private(set) var bytes: [UInt8] = []

    mutating func removeAll() { bytes.removeAll(keepingCapacity: bytes.capacity <= 1 << 20) }

    mutating func beginCommand(argumentCount: Int) { appendHeader(UInt8(ascii: "*"), argumentCount) }

    mutating func append(_ argument: [UInt8]) {
        appendHeader(UInt8(ascii: "$"), argument.count)
        bytes.append(contentsOf: argument)
        endLine()
    }

    mutating func append(_ arguments: [[UInt8]]) {
        for argument in arguments { append(argument) }
    }

    mutating func append(_ word: StaticString) {
        appendHeader(UInt8(ascii: "$"), word.utf8CodeUnitCount)
        word.withUTF8Buffer { unsafe bytes.append(contentsOf: $0) }
        endLine()
    }

    /// Encodes a number of arguments as an argument.
    mutating func append(count: Int) {
        append(Array(String(count).utf8))
    }

    private mutating func appendHeader(_ kind: UInt8, _ value: Int) {
        bytes.append(kind)
        var divisor = 1
        while value / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(value / divisor % 10))
            divisor /= 10
        }
        endLine()
    }

    private mutating func endLine() {
        bytes.append(UInt8(ascii: "\r"))
        bytes.append(UInt8(ascii: "\n"))
    }
}
