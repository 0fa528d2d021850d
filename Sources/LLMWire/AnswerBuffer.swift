// One event, or the JSON body of an answer, kept until it can be read whole. Large answers are large because of a few
// long values (pictures, vectors, long texts), and what is read stands in short ones: so beyond a size, long strings and
// long rows of numbers lose their middle as they arrive, and the JSON around them stays.

/// Holds JSON text that arrives in pieces.
///
/// What it holds does not depend on how the text was split.
struct AnswerBuffer {
    /// Text up to this size is kept as it is: nearly all events, and most bodies.
    static let plainBytes = 64 << 10
    /// Bytes of each string that are kept of a larger text.
    ///
    /// Names, types and reasons are shorter.
    static let keptStringBytes = 256

    private enum Place {
        case outside
        case string
        /// After a backslash.
        case escape
        /// In `\u`, with so many digits to come.
        case digits(Int)
        /// In a row of numbers whose rest is not kept.
        case numbers
    }

    private(set) var bytes: [UInt8] = []
    /// Bytes of strings that were left out.
    private(set) var elidedBytes = 0
    /// More came than is looked at, even without what was left out.
    private(set) var isFull = false

    private var isFiltering = false
    private var place = Place.outside
    /// Bytes of the current string so far.
    private var stringBytes = 0
    /// The last byte outside of strings that was not blank.
    private var previous: UInt8 = 0

    /// Adds some of a span's bytes.
    mutating func append(_ input: Span<UInt8>, from start: Int, to end: Int) {
        guard !isFull else { return }
        if !isFiltering {
            if bytes.count + (end - start) <= Self.plainBytes {
                LLMWire.append(input, from: start, to: end, into: &bytes)
                return
            }
            isFiltering = true
            var plain: [UInt8] = []
            swap(&plain, &bytes)
            filter(plain.span, from: 0, to: plain.count)
        }
        filter(input, from: start, to: end)
    }

    mutating func append(_ byte: UInt8) {
        let single: [1 of UInt8] = [byte]
        append(single.span, from: 0, to: 1)
    }

    /// Begins the next text in the same memory.
    mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        elidedBytes = 0
        isFull = false
        isFiltering = false
        place = .outside
        stringBytes = 0
        previous = 0
    }

    private mutating func filter(_ input: Span<UInt8>, from start: Int, to end: Int) {
        var index = start
        while index < end {
            switch place {
            case .outside: outside(input, &index)
            case .string: string(input, &index, end)
            case .escape, .digits: escape(input[index], &index)
            case .numbers: numbers(input[index], &index)
            }
        }
        if bytes.count > UsageTap.maxLookedAtBytes {
            isFull = true
            bytes = []
        }
    }

    private mutating func outside(_ input: Span<UInt8>, _ index: inout Int) {
        let byte = input[index]
        bytes.append(byte)
        index += 1
        if byte == UInt8(ascii: "\"") {
            place = .string
            stringBytes = 0
        } else if byte == UInt8(ascii: ","), previous &- UInt8(ascii: "0") < 10 {
            // A number came before; whatever numbers follow in a row say nothing that is read.
            place = .numbers
        }
        if byte > 0x20 { previous = byte }
    }

    private mutating func string(_ input: Span<UInt8>, _ index: inout Int, _ end: Int) {
        let stop = min(JSONBytes.stringStop(input, from: index), end)
        let kept = min(max(Self.keptStringBytes - stringBytes, 0), stop - index)
        LLMWire.append(input, from: index, to: index + kept, into: &bytes)
        elidedBytes += stop - index - kept
        stringBytes += stop - index
        index = stop
        guard index < end else { return }
        if input[index] == UInt8(ascii: "\"") {
            bytes.append(UInt8(ascii: "\""))
            place = .outside
            previous = UInt8(ascii: "\"")
        } else {
            keep(input[index])
            place = .escape
        }
        index += 1
    }

    /// An escape is kept whole or left out whole: the string's count grows when it is over.
    private mutating func escape(_ byte: UInt8, _ index: inout Int) {
        keep(byte)
        index += 1
        switch place {
        case .escape where byte == UInt8(ascii: "u"): place = .digits(4)
        case .digits(let left) where left > 1: place = .digits(left - 1)
        default:
            place = .string
            stringBytes += 2
        }
    }

    private mutating func keep(_ byte: UInt8) {
        if stringBytes < Self.keptStringBytes { bytes.append(byte) } else { elidedBytes += 1 }
    }

    private mutating func numbers(_ byte: UInt8, _ index: inout Int) {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."),
            UInt8(ascii: "e"), UInt8(ascii: "E"), UInt8(ascii: ","), 0x20, 0x09, 0x0a, 0x0d:
            index += 1
        case UInt8(ascii: "]"):
            bytes.append(UInt8(ascii: "0"))  // for the comma that was kept
            place = .outside
        default:
            place = .outside  // a member, or an element of another kind
        }
    }
}
