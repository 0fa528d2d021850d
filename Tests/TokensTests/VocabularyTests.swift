// A vocabulary file is checked before it is used: whatever has happened to it, loading ends with an error that says
// where, or with tables that cannot be left.

import Codec
import Foundation
import Testing

@testable import Tokens

@Suite struct `A vocabulary file` {
    private static let whole: [UInt8] = {
        let path = "\(TokenFixtures.vocabularies)/r50k_base.vocabulary"
        return FileManager.default.contents(atPath: path).map { [UInt8]($0) } ?? []
    }()

    private static func error(_ file: [UInt8], as encoding: EncodingName = .r50kBase) -> VocabularyError? {
        do throws(VocabularyError) {
            _ = Vocabulary(try VocabularyParts(file.span, encoding: encoding))
            return nil
        } catch {
            return error
        }
    }

    /// The file with bytes changed and the checksum made right again: what only an enemy would do.
    private static func forged(_ change: (inout [UInt8]) -> Void) -> [UInt8] {
        var file = whole
        change(&file)
        let checksum = CRC32C.checksum(Array(file[16...]))
        for index in 0..<4 { file[12 + index] = UInt8(truncatingIfNeeded: checksum >> UInt32(8 * index)) }
        return file
    }

    @Test func `loads when whole`() {
        #expect(Self.whole.count > 600_000)
        #expect(Self.error(Self.whole) == nil)
        #expect(Self.error(Self.forged { _ in }) == nil)
    }

    @Test func `is refused when it is another's`() {
        #expect(Self.error(Self.whole, as: .p50kBase) == .malformed("name"))
        #expect(Self.error([]) == .malformed("magic"))
        #expect(Self.error([UInt8](repeating: 0, count: 100)) == .malformed("magic"))
    }

    @Test func `is refused when cut, grown or changed`() {
        #expect(Self.error(Array(Self.whole.dropLast())) == .malformed("checksum"))
        #expect(Self.error(Self.whole + [0]) == .malformed("checksum"))
        for place in [0, 8, 12, 16, 20, 24, 30, 44, 50_000, Self.whole.count - 1] {
            var file = Self.whole
            file[place] ^= 0x40
            #expect(Self.error(file) != nil, "byte \(place)")
        }
    }

    @Test func `is refused when its parts do not fit, checksum or not`() {
        let count = 50_256
        #expect(Self.error(Self.forged { $0[16] ^= 1 }) == .malformed("size"))
        #expect(Self.error(Self.forged { $0[20] = 0 }) == .malformed("size"))
        #expect(Self.error(Self.forged { $0[24] ^= 1 }) == .malformed("size"))
        #expect(Self.error(Self.forged { $0[44 + 300] = 129 }) == .malformed("lengths"))
        #expect(Self.error(Self.forged { $0[44 + 300] += 1 }) == .malformed("lengths"))
        #expect(Self.error(Self.forged { $0[44 + count + 3 * 300 + 1] ^= 0x7f }) == .malformed("splits"))
        #expect(Self.error(Self.forged { $0[44 + count + 3 * 5] = 0 }) == .malformed("splits"))
        #expect(Self.error(Self.forged { $0[44 + 7 * count] = $0[44 + 7 * count + 1] }) == .malformed("bytes"))
    }

    @Test(arguments: 0..<40 as Range<UInt64>)
    func `never makes tables that can be left`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let file = Self.forged { file in
            for _ in 0..<3 {
                file[Int.random(in: 16..<file.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
        }
        do throws(VocabularyError) {
            let vocabulary = Vocabulary(try VocabularyParts(file.span, encoding: .r50kBase))
            let text = Array("Whatever the tables say, this ends. \(String(repeating: "xyz", count: 300))".utf8)
            let count = Tokenizer(.r50kBase, vocabulary).count(of: text)
            #expect(count > 0 && count <= text.count)
        } catch {
            #expect("\(error)".contains("malformed"))
        }
    }

    @Test func `says what is missing`() {
        do throws(VocabularyError) {
            _ = try Tokenizer.load(.o200kBase, folder: "/nonexistent")
            Issue.record("loaded from nowhere")
        } catch {
            #expect(error == .unreadable("/nonexistent/o200k_base.vocabulary", ENOENT))
        }
    }

    @Test func `lies beside the program, once for the process`() throws {
        let first = try Tokenizer.shared(.r50kBase)
        #expect(try Tokenizer.shared(.r50kBase) === first)
    }
}
