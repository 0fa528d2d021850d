// Where `weir top` looks: the control plane for which nodes there are, and each node for how it is. Whoever does not
// answer in time is shown as such; nobody waits for it.

import Reactor
import Stack
import Synchronization

/// Asks a fleet how it is.
final class TopSource: Sendable {
    private static let maxBytes = 8 << 20
    private static let deadline: Duration = .seconds(1)

    private let api: String
    private let token: String
    private let fetcher: Fetcher

    /// Starts a thread for the questions.
    ///
    /// - Parameters:
    ///   - api: the control plane's base URL, with or without `/v1`.
    ///   - token: the admin token.
    /// - Throws: when the machine has no thread to give.
    init(api: String, token: String) throws {
        var api = api
        while api.hasSuffix("/") { api.removeLast() }
        self.api = api.hasSuffix("/v1") ? api : api + "/v1"
        self.token = token
        fetcher = try Fetcher(maxBytes: Self.maxBytes, deadline: Self.deadline)
    }

    func read() async -> TopReading {
        let now = Double(MonotonicTime.now.nanoseconds) / 1e9
        var reading = TopReading(time: now)
        let authorization = ["Authorization: Bearer \(token)"]
        async let snapshot = fetcher.get(api + "/snapshots/current", authorization)
        async let listing = fetcher.get(api + "/nodes?limit=200", authorization)
        switch await snapshot {
        case .success(let body):
            let current = Self.json(body)
            reading.version = current?["version"]?.int
            reading.lineage = current?["lineage"]?.text ?? ""
            reading.isPublished = current?["published_version"]?.int == reading.version
        case .failure(let trouble): reading.trouble = trouble.text
        }
        guard case .success(let body) = await listing, let nodes = Self.json(body)?["data"]?.elements else {
            return reading
        }
        reading.nodes = await withTaskGroup { group in
            for node in nodes { group.addTask { await self.look(at: node) } }
            var all: [TopReading.Node] = []
            for await node in group { all.append(node) }
            return all.sorted { $0.id < $1.id }
        }
        return reading
    }

    /// What another version of a server says may not be what is expected: then it says nothing.
    private static func json(_ body: [UInt8]) -> JSONValue? {
        do throws(StackError) {
            return try JSONValue(parsing: body)
        } catch {
            return nil
        }
    }

    private func look(at node: JSONValue) async -> TopReading.Node {
        let url = node["url"]?.text ?? ""
        var found = TopReading.Node(
            id: node["id"]?.text ?? "?",
            url: url,
            version: node["version"]?.int ?? 0,
            isLive: node["live"] == true,
            refusal: node["status"]?.text == "nack" ? node["reason"]?.text ?? "no reason given" : nil
        )
        guard found.isLive else { return found }
        found.report = TopReading.Report(
            requests: node["requests_per_second"]?.double,
            refusals: node["refusals_per_second"]?.double,
            errors: node["errors_per_second"]?.double,
            queued: node["usage_queued"]?.double
        )
        found.breakers = Self.breakers(node["breakers"], named: "dependency")
        async let metrics = fetcher.get(url + "/metrics", ["Accept: text/plain"])
        // 503 while it drains, with the same body.
        async let readiness = fetcher.get(url + "/readyz?verbose", [], accepts: [200, 503])
        if case .success(let body) = await metrics { found.page = MetricsPage(String(decoding: body, as: UTF8.self)) }
        if case .success(let body) = await readiness {
            found.breakers = Self.breakers(Self.json(body)?["dependencies"], named: "name")
        }
        return found
    }

    private static func breakers(
        _ list: JSONValue?,
        named name: String
    ) -> [(name: String, state: String, reason: String)] {
        (list?.elements ?? []).map { one in
            (one[name]?.text ?? "?", one["state"]?.text ?? "?", one["reason"]?.text ?? "")
        }
    }
}

/// GETs over a Reactor of its own.
final class Fetcher: Sendable {
    /// Why there is no answer.
    struct Trouble: Error { let text: String }

    private let thread: ReactorHandle
    private let mailbox: Mailbox<Question>
    private let maxBytes: Int
    private let deadline: Duration

    private struct Question: Sendable {
        let request: HTTPClientRequest
        let accepts: Set<Int>
        let maxBytes: Int
        let done: @Sendable (Result<[UInt8], Trouble>) -> Void
    }

    init(maxBytes: Int, deadline: Duration) throws {
        self.maxBytes = maxBytes
        self.deadline = deadline
        let made = Mutex<Mailbox<Question>?>(nil)
        thread = try ReactorHandle.start(name: "weir-top") { reactor in
            let client = HTTPClient(reactor: reactor)
            let mailbox = reactor.makeMailbox(capacity: 1_024) { (question: Question) in
                let answer = Collector(question)
                _ = client.start(question.request, delegate: answer)
            }
            made.withLock { $0 = mailbox }
        }
        guard let mailbox = made.withLock({ $0 }) else { preconditionFailure("made by the set-up") }
        self.mailbox = mailbox
    }

    func get(_ url: String, _ headers: [String], accepts: Set<Int> = [200]) async -> Result<[UInt8], Trouble> {
        var request = HTTPClientRequest(method: .get, url: url, headers: headers)
        request.connectTimeout = deadline
        request.firstByteTimeout = deadline
        request.idleTimeout = deadline
        request.totalTimeout = deadline
        return await withCheckedContinuation { continuation in
            let question = Question(request: request, accepts: accepts, maxBytes: maxBytes) {
                continuation.resume(returning: $0)
            }
            if !mailbox.send(question) { continuation.resume(returning: .failure(Trouble(text: "too many questions"))) }
        }
    }

    /// Gathers one answer.
    private final class Collector: TransferDelegate {
        private let question: Question
        private var status = 0
        private var body: [UInt8] = []

        init(_ question: Question) { self.question = question }

        func transfer(_ transfer: Transfer, didReceiveHead head: ResponseHead) { status = head.status }

        func transfer(_ transfer: Transfer, didReceiveBody bytes: Span<UInt8>) {
            guard body.count + bytes.count <= question.maxBytes else {
                transfer.cancel()
                return question.done(.failure(Trouble(text: "the answer is too long")))
            }
            unsafe bytes.withUnsafeBufferPointer { unsafe body.append(contentsOf: $0) }
        }

        func transferDidFinish(_ transfer: Transfer, _ outcome: TransferOutcome) {
            switch outcome {
            case .failed(let failure): question.done(.failure(Trouble(text: "\(failure.reason)")))
            case .complete where question.accepts.contains(status): question.done(.success(body))
            case .complete: question.done(.failure(Trouble(text: "status \(status)")))
            }
        }
    }
}
