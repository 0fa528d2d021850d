// Parameters as libpq takes them, made on the caller's thread so that the pool's thread only copies bytes.

/// The values of `$1`, `$2`, … in one buffer.
struct EncodedParameters: Sendable {
    /// The wire protocol counts them in 16 bits.
    private static let maxCount = 65_535
    /// libpq counts bytes in `int`, and the server refuses more than a gigabyte in one value.
    private static let maxBytes = 1 << 30

    struct Field: Sendable {
        /// Where the value starts; nil for NULL.
        let offset: Int?
        let count: Int32
        /// 0: text, ended by a NUL; 1: binary, for bytes.
        let format: Int32
    }

    private(set) var bytes: [UInt8] = []
    private(set) var fields: [Field] = []

    init(_ values: [PostgresValue]) throws(PostgresError) {
        guard values.count <= Self.maxCount else {
            throw PostgresError(kind: .other, message: "\(values.count) parameters; the protocol has \(Self.maxCount)")
        }
        fields.reserveCapacity(values.count)
        for value in values {
            let start = bytes.count
            if case .bytes(let value) = value {
                bytes += value
                fields.append(Field(offset: start, count: Int32(clamping: value.count), format: 1))
                bytes.append(0)  // so that an empty value at the end has an address
            } else if let text = try value.serverText() {
                bytes += text.utf8
                fields.append(Field(offset: start, count: Int32(clamping: bytes.count - start), format: 0))
                bytes.append(0)
            } else {
                fields.append(Field(offset: nil, count: 0, format: 0))
            }
        }
        guard bytes.count <= Self.maxBytes else {
            throw PostgresError(kind: .other, message: "\(bytes.count) bytes of parameters")
        }
    }
}
