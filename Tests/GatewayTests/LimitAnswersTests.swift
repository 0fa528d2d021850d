// What a client is told of each limit: headers by unit, and refusals with a hint that holds.

import LLMWire
import Limits
import Testing

@testable import Gateway

@Suite struct `A client` {
    private func claim(
        _ algorithm: LimitAlgorithm,
        unit: LimitUnit,
        limit: Int64,
        burst: Int64? = nil
    ) -> LimitClaim {
        LimitClaim(
            rule: 0,
            counter: [1],
            limit: limit,
            windowMilliseconds: algorithm == .concurrency ? 0 : 60_000,
            algorithm: algorithm,
            unit: unit,
            cost: 1,
            burst: burst,
            isShadow: false
        )
    }

    private func state(remaining: Int64 = 0, reset: Int64, isOver: Bool = false) -> LimitState {
        LimitState(remaining: remaining, resetMilliseconds: reset, windowID: 0, isOver: isOver)
    }

    @Test func `that has too many requests in flight may come again in a second, and sees no other header`() {
        let places = claim(.concurrency, unit: .inFlight, limit: 8)
        let full = state(reset: 1_000, isOver: true)
        let hint = RetryAfter(claims: [places], states: [full])
        #expect(LimitRefusal.error(places, hint) == .concurrencyLimited)
        #expect(
            LimitRefusal.headers(hint).map { "\($0.name): \($0.value)" } == ["retry-after: 1", "retry-after-ms: 1000"]
        )
        for dialect in [Dialect.openAI, .anthropic] {
            #expect(RateLimitHeaders.make(dialect, claims: [places], states: [full]).isEmpty)
        }
        #expect(
            String(decoding: ClientError.concurrencyLimited.body(.openAI, requestID: []), as: UTF8.self)
                == #"{"error":{"message":"too many concurrent requests","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#
        )
    }

    @Test func `sees of a bucket what it holds, not what it gains in a window`() {
        let bucket = claim(.tokenBucket, unit: .requests, limit: 100, burst: 20)
        let headers = RateLimitHeaders.make(.openAI, claims: [bucket], states: [state(remaining: 19, reset: 600)])
        #expect(
            headers.map { "\($0.name): \($0.value)" } == [
                "x-ratelimit-limit-requests: 20", "x-ratelimit-remaining-requests: 19",
                "x-ratelimit-reset-requests: 600ms",
            ]
        )
    }

    @Test func `that waits long enough for tokens is told to come again, and else that its quota is used up`() {
        let tokens = claim(.slidingWindow, unit: .tokens, limit: 100)
        for (reset, error) in [(59_000, ClientError.tokensLimited), (61_200, .quota)] as [(Int64, ClientError)] {
            let hint = RetryAfter(claims: [tokens], states: [state(reset: reset, isOver: true)])
            #expect(LimitRefusal.error(tokens, hint) == error)
        }
    }
}
