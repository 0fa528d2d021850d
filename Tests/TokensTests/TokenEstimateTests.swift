// The bound holds for the shapes that are known to be expensive, and no size can make it overflow.

import Testing
import Tokens

@Suite struct `A token bound` {
    @Test func `is never below the bytes of the text`() {
        #expect(TokenEstimate.upperBound(promptBytes: 1_000, messageCount: 1, hasTools: false) >= 1_000)
        #expect(TokenEstimate.upperBound(textBytes: 7) == 7)
    }

    @Test func `adds what surrounds messages, tools and pictures`() {
        let bare = TokenEstimate.upperBound(promptBytes: 10, messageCount: 0, hasTools: false)
        #expect(bare == 10 + TokenEstimate.perRequest)
        #expect(
            TokenEstimate.upperBound(promptBytes: 10, messageCount: 2, hasTools: true, imageCount: 3)
                == bare + 2 * TokenEstimate.perMessage + TokenEstimate.perToolUse + 3 * TokenEstimate.perImage
        )
    }

    @Test(arguments: [(bytes: 0, tokens: 0), (1, 1), (4, 1), (5, 2), (Int.max, Int.max / 4 + 1), (-1, 0)])
    func `has a likely figure beside it`(bytes: Int, tokens: Int) {
        #expect(TokenEstimate.likely(textBytes: bytes) == tokens)
    }

    @Test func `saturates and never goes negative`() {
        #expect(
            TokenEstimate.upperBound(promptBytes: .max, messageCount: .max, hasTools: true, imageCount: .max) == .max
        )
        #expect(TokenEstimate.upperBound(promptBytes: -5, messageCount: -5, hasTools: false, imageCount: -1) > 0)
        #expect(TokenEstimate.reservation(input: 10, choices: 3, outputCap: 100) == 310)
        #expect(TokenEstimate.reservation(input: .max, choices: .max, outputCap: .max) == .max)
        #expect(TokenEstimate.reservation(input: 1, choices: 1, outputCap: -9) == 1)
    }
}
