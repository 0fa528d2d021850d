// The moments of a request, kept as numbers while it runs: what is told of them is made when it is over.

/// Moments on an event loop, in nanoseconds of the monotonic clock; 0 for what has not happened or is not measured.
struct RequestMarks {
    /// The body was there.
    var bodyRead: UInt64 = 0
    /// The body was understood.
    var scanned: UInt64 = 0
    /// Every rule had been asked, or one had refused.
    var decided: UInt64 = 0
}

/// Moments of one attempt at a provider.
struct AttemptTimes: Sendable {
    /// It was handed to libcurl.
    var sent: UInt64 = 0
    /// The head of an answer was there.
    var firstByte: UInt64 = 0
    /// The first bytes of a streamed answer's body were there; 0 for one that was not streamed.
    var firstToken: UInt64 = 0
    /// It was over.
    var ended: UInt64 = 0
    /// The provider's status; 0 without an answer.
    var status = 0

    /// How long it took; 0 for one that was never made.
    var duration: UInt64 { ended > sent && sent > 0 ? ended - sent : 0 }
}

/// Moments of a request on its Reactor.
struct UpstreamTimes: Sendable {
    /// Limits were asked for; 0 when there were none to ask for.
    var reserving: UInt64 = 0
    /// The limits had answered.
    var reserved: UInt64 = 0
    /// All attempts but the last.
    var earlier: [AttemptTimes] = []
    /// The last attempt.
    var last = AttemptTimes()

    /// All attempts that were made, in order.
    var attempts: [AttemptTimes] { last.sent == 0 ? earlier : earlier + [last] }

    /// What the providers took of the request's time, from the first attempt's start to the last one's end: the pause
    /// before a repetition is owed to the provider that failed.
    var waited: UInt64 {
        let attempts = attempts
        guard let first = attempts.first, let last = attempts.last, last.ended > first.sent else { return 0 }
        return last.ended - first.sent
    }
}
