// What one request met, as its client saw it.

/// How one request went.
struct Sample: Sendable {
    /// How the exchange ended.
    enum End: Sendable, Equatable {
        /// The answer ended as its framing promised.
        case complete
        /// The connection ended within the answer.
        case cut
        /// No byte of an answer came.
        case noAnswer
        /// There was nobody to connect to.
        case notConnected
    }

    /// The name its app has in the test.
    var app = ""
    var number = 0
    /// Index of the node it was sent to.
    var node = 0
    var isStream = false
    /// Since the load began.
    var start: Duration = .zero
    /// From the first byte sent to the last byte received.
    var took: Duration = .zero
    /// 0 without an answer.
    var status = 0
    var end = End.noAnswer
    /// `x-weir-origin`.
    var origin = ""
    /// Whether a stream's last event was its end mark.
    var hasEndMark = false
    /// The start of an answer that was not 200.
    var body = ""

    /// A whole 200; a stream with its end mark.
    var isServed: Bool { status == 200 && end == .complete && (!isStream || hasEndMark) }
    /// A limit's answer, whole.
    var isLimited: Bool { status == 429 && end == .complete }
}

extension Sample: CustomStringConvertible {
    var description: String {
        "\(app)#\(number) node \(node) at \(start): \(status) \(end)\(isStream ? " stream" : "") after \(took) "
            + "origin \(origin) \(body.suffix(120).filter { !$0.isNewline })"
    }
}

/// All that the clients of a load saw.
struct History: Sendable {
    var samples: [Sample] = []
    /// The longest that the machine kept a thread of the load itself waiting.
    var hiccup: Duration = .zero

    func of(_ app: String) -> [Sample] { samples.filter { $0.app == app } }
    func served(_ app: String) -> [Sample] { samples.filter { $0.app == app && $0.isServed } }
    /// Samples that are neither served nor refused by a limit.
    var failures: [Sample] { samples.filter { !$0.isServed && !$0.isLimited } }
    var slowest: Duration { samples.map(\.took).max() ?? .zero }
    /// Requests that began within a span of the load's time.
    func between(_ from: Duration, _ to: Duration) -> History {
        History(samples: samples.filter { $0.start >= from && $0.start < to }, hiccup: hiccup)
    }
}
