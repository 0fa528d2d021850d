// How limits look to an SDK: hints in the protocol's own headers, and a refusal it knows what to do with (DESIGN 10).

import LLMWire
import Limits
import Policy
import Reactor

/// The limits' headers on every metered answer.
enum RateLimitHeaders {
    /// - Returns: for requests and tokens the tightest enforced claim's limit, remainder and reset; for requests in
    ///   flight nothing, since no protocol has a name for it.
    static func make(
        _ dialect: Dialect,
        claims: [LimitClaim],
        states: [LimitState]
    ) -> [(name: String, value: String)] {
        var headers: [(name: String, value: String)] = []
        for unit in [LimitUnit.requests, .tokens] {
            var tightest: (claim: LimitClaim, state: LimitState)?
            for (claim, state) in zip(claims, states) where claim.unit == unit && !claim.isShadow {
                if let found = tightest, found.state.remaining <= state.remaining { continue }
                tightest = (claim, state)
            }
            guard let (claim, state) = tightest else { continue }
            let name = unit == .requests ? "requests" : "tokens"
            switch dialect {
            case .openAI:
                headers.append(("x-ratelimit-limit-\(name)", String(claim.capacity)))
                headers.append(("x-ratelimit-remaining-\(name)", String(state.remaining)))
                headers.append(("x-ratelimit-reset-\(name)", goDuration(state.resetMilliseconds)))
            case .anthropic:
                let reset = WallClock.rfc3339((WallClock.milliseconds + state.resetMilliseconds + 999) / 1_000 * 1_000)
                headers.append(("anthropic-ratelimit-\(name)-limit", String(claim.capacity)))
                headers.append(("anthropic-ratelimit-\(name)-remaining", String(state.remaining)))
                headers.append(("anthropic-ratelimit-\(name)-reset", reset))
            }
        }
        return headers
    }

    /// Go's `time.Duration` text, as OpenAI writes resets: `6ms`, `59s`, `1m30.5s`.
    static func goDuration(_ milliseconds: Int64) -> String {
        guard milliseconds >= 1_000 else { return "\(max(milliseconds, 0))ms" }
        let hours = milliseconds / 3_600_000
        let minutes = milliseconds / 60_000 % 60
        let rest = milliseconds % 60_000
        var fraction = ""
        if rest % 1_000 != 0 {
            let digits = String(1_000 + rest % 1_000).dropFirst()
            fraction = "." + String(digits).trimmingZeros()
        }
        let seconds = "\(rest / 1_000)\(fraction)s"
        guard hours > 0 else { return minutes > 0 ? "\(minutes)m\(seconds)" : seconds }
        return "\(hours)h\(minutes)m\(seconds)"
    }
}

/// The answer when a window is used up.
enum LimitRefusal {
    /// Of a rule that admits nothing while Redis is out: it is tried again all the time.
    static let unavailableHeaders = [("retry-after", "1"), ("retry-after-ms", "1000")].map { (name: $0.0, value: $0.1) }

    static func error(_ claim: LimitClaim, _ hint: RetryAfter) -> ClientError {
        claim.unit == .tokens && !hint.isWorthRetrying ? .quota : RefusalReason(limitOn: claim.unit).clientError
    }

    static func headers(_ hint: RetryAfter) -> [(name: String, value: String)] {
        guard hint.isWorthRetrying else { return [("x-should-retry", "false")] }
        return [("retry-after", String(hint.seconds)), ("retry-after-ms", String(hint.milliseconds))]
    }
}

/// The answer when a provider fails.
enum UpstreamTrouble {
    static func error(for failure: TransferFailure) -> ClientError {
        switch failure.reason {
        case .connect, .connectTimeout, .dns, .tooManyTransfers, .shutDown: .unavailable
        case .firstByteTimeout, .idleTimeout, .totalTimeout: .timeout
        default: .badGateway
        }
    }

    static func isTimeout(_ failure: TransferFailure) -> Bool {
        switch failure.reason {
        case .firstByteTimeout, .idleTimeout, .totalTimeout, .connectTimeout: true
        default: false
        }
    }
}

extension String {
    fileprivate func trimmingZeros() -> String {
        var text = self
        while text.hasSuffix("0") { text.removeLast() }
        return text
    }
}
