// Why a body was not understood: one reason for the log, one fixed text for the client, and where it happened.

/// A body that is not acceptable JSON, or not an acceptable request.
public struct ScanError: Error, Equatable, Sendable {
    /// What is wrong with the body.
    public enum Reason: UInt8, Sendable, CaseIterable {
        /// The text ends inside a value.
        case truncated
        /// A byte that the grammar of RFC 8259 has no place for.
        case unexpectedByte
        /// Something follows the document.
        case trailingBytes
        /// More than `JSONReader.maxDepth` open containers.
        case tooDeep
        /// A control character stands unescaped in a string.
        case controlCharacter
        /// An escape that RFC 8259 does not know.
        case badEscape
        /// Half of a surrogate pair: no UTF-8 can say it, parsers differ on what they make of it.
        case loneSurrogate
        /// Overlong, cut or forbidden UTF-8.
        case badUTF8
        /// A number outside the grammar.
        case badNumber
        /// A number spelled with more than `JSONReader.maxNumberBytes` bytes.
        case numberTooLong
        /// A member stands twice in an object that policy reads: parsers differ on which one counts.
        case duplicateKey
        /// More than `KeyTable.maxMembers` members in an object that policy reads.
        case tooManyMembers
        /// The document is not an object.
        case notAnObject
        /// A member that policy reads has another JSON type than the API documents.
        case wrongType
        /// A number that policy reads is negative, fractional or too large.
        case numberOutOfRange
        /// There is no `model`.
        case missingModel
        /// `model` is empty, longer than `ParsedRequest.maxModelBytes`, or has control characters.
        case badModel
        /// The body is longer than offsets can say (2³¹ − 1 bytes).
        case tooLarge
    }

    /// What is wrong.
    public let reason: Reason
    /// Bytes from the start of the body to where it was seen.
    public let offset: Int

    /// Makes an error.
    ///
    /// - Parameters:
    ///   - reason: what is wrong.
    ///   - offset: bytes from the start of the body.
    public init(_ reason: Reason, at offset: Int) {
        self.reason = reason
        self.offset = offset
    }

    /// What the client is told: a fixed text, so that nothing of the body can slip into it.
    public var clientMessage: StaticString {
        switch reason {
        case .truncated, .unexpectedByte, .trailingBytes, .controlCharacter, .badEscape, .badNumber:
            "We could not parse the JSON body of your request."
        case .loneSurrogate, .badUTF8:
            "The body of your request is not valid UTF-8 text."
        case .tooDeep:
            "The JSON body of your request is nested too deeply."
        case .numberTooLong:
            "The JSON body of your request has a number that is too long."
        case .duplicateKey:
            "The JSON body of your request has the same member twice."
        case .tooManyMembers:
            "The JSON body of your request has an object with too many members."
        case .notAnObject:
            "The body of your request must be a JSON object."
        case .wrongType:
            "A member of your request has the wrong type."
        case .numberOutOfRange:
            "A number in your request is out of range."
        case .missingModel:
            "You must provide a model parameter."
        case .badModel:
            "The model parameter of your request is not a valid model name."
        case .tooLarge:
            "The body of your request is too large."
        }
    }
}
