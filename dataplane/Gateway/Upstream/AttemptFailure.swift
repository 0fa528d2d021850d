// What a failed attempt at a provider leaves to do, before a byte of its answer has reached the client. A prompt is paid
// for each time it is processed, so what may have been processed is never sent to the same provider twice; another
// provider is asked, since to answer once more has no effect but its price (docs/decisions/0016).

import LLMWire
import Reactor

/// Why an attempt failed, and where the request may go instead.
struct AttemptFailure: Sendable, Equatable {
    /// A label of metrics.
    enum Reason: String, Sendable, CaseIterable {
        /// No connection: refused, unreachable, no such name, a bad certificate.
        case connect
        /// No connection or no answer in time.
        case timeout
        /// The connection broke, or what came over it was no HTTP.
        case reset
        /// The provider failed.
        case server
        /// The provider has no capacity now.
        case overloaded
        /// Too fast for the provider.
        case rateLimit = "rate_limit"
        /// The provider's account is empty.
        case quota
        /// The provider refused our credential.
        case credential
    }

    /// Where the request may go instead.
    enum Recourse: Sendable {
        /// To another provider only.
        case otherProvider
        /// To any other route; where there is none, to the same one after a short wait.
        case anyRoute
        /// To any other route; to the same one only after the wait that the provider asked for.
        case anyRouteOnHint
    }

    let reason: Reason
    let recourse: Recourse
    /// How long the provider asked to wait, in milliseconds.
    var waitMilliseconds: Int?

    init(_ reason: Reason, _ recourse: Recourse) {
        self.reason = reason
        self.recourse = recourse
    }

    /// Judges a transfer that brought no answer.
    ///
    /// - Returns: nil when no route could do better: the request or this node is at fault.
    init?(_ failure: TransferFailure) {
        switch failure.reason {
        case .connect: self.init(.connect, .anyRoute)
        case .dns, .tls, .addressRefused: self.init(.connect, .otherProvider)
        case .connectTimeout, .firstByteTimeout, .idleTimeout, .totalTimeout: self.init(.timeout, .otherProvider)
        // The transfer has tried once more by itself where a kept connection was found dead.
        case .reset where !failure.sentRequest: self.init(.reset, .anyRoute)
        case .reset, .truncated, .badFraming, .headersTooLarge: self.init(.reset, .otherProvider)
        case .invalidRequest, .tooManyTransfers, .shutDown, .other: return nil
        }
    }

    /// Judges an answer that is no success.
    ///
    /// - Returns: nil when the answer is the client's: it would get the same from every route.
    init?(status: Int, headers: [(name: String, value: String)], body: [UInt8]) {
        let error = ProviderError.classify(status: status, headers: headers, body: body)
        switch error.errorClass {
        case .auth: self.init(.credential, .otherProvider)
        case .billing: self.init(.quota, .otherProvider)
        // A quota of a day is as empty for every try of this day.
        case .rateLimit: self.init(.rateLimit, error.isRetryable ? .anyRouteOnHint : .otherProvider)
        case .overloaded: self.init(.overloaded, .anyRoute)
        case .server, .badRequest, .notFound, .tooLarge:
            guard error.isRetryable else { return nil }
            self.init(.server, Self.saysNo(headers) ? .otherProvider : .anyRoute)
        }
        waitMilliseconds = error.retryAfterMilliseconds
    }

    /// `x-should-retry: false`, which OpenAI and Anthropic send with what will fail again.
    private static func saysNo(_ headers: [(name: String, value: String)]) -> Bool {
        headers.contains { $0.name.lowercased() == "x-should-retry" && $0.value == "false" }
    }

    // MARK: What tells against a provider

    /// Whether a failure says that the provider is out.
    static func tellsAgainst(_ failure: TransferFailure) -> Bool {
        switch failure.reason {
        case .connect, .connectTimeout, .dns, .tls, .firstByteTimeout, .idleTimeout, .totalTimeout, .reset, .truncated,
            .badFraming:
            true
        case .invalidRequest, .tooManyTransfers, .addressRefused, .headersTooLarge, .shutDown, .other: false
        }
    }

    /// Whether a status says that the provider is out.
    ///
    /// 429 is an answer of one that works, and 501 and 505 are about the request.
    static func tellsAgainst(status: Int) -> Bool { status >= 500 && status != 501 && status != 505 }
}
