// The control plane as a node sees it: five calls over HTTP, each bounded in bytes and time, each answered once, all
// behind one breaker, so that reports, polls and usage do not each find out that it is down.

import Breaker
import Reactor
import Secrets
import Snapshot

/// Calls of one node to the control plane.
///
/// Confined to the node's Reactor.
final class ControlClient {
    /// How a call ended.
    enum Answer {
        case response(status: Int, body: [UInt8])
        case failure(String)
    }

    /// A call on its way, for `cancel`.
    struct Call {
        fileprivate let transfer: Transfer
        fileprivate let generation: UInt64
    }

    private static let maxAnswerBytes = 64 << 10
    private static let connectTimeout: Duration = .seconds(2)
    private static let idleTimeout: Duration = .seconds(5)

    // Two failures in a row, because the first may be a connection that lay idle too long. Reports come every second
    // and are the probes, so it closes about a second after the control plane is back.
    private static let breakerConfiguration = BreakerConfiguration(
        failuresToTrip: 2,
        initialBackoff: .milliseconds(250),
        maxBackoff: .seconds(2),
        probeTimeout: .seconds(10)
    )

    private let reactor: Reactor
    private let breaker: SharedBreaker
    private let client: HTTPClient
    private let baseURL: String
    private let authorization: String
    private let nodeID: String

    init(reactor: Reactor, configuration: NodeConfiguration, breakers: BreakerBoard) {
        self.reactor = reactor
        breaker = breakers.breaker(for: "control", Self.breakerConfiguration)
        client = HTTPClient(reactor: reactor, limits: HTTPClientLimits())
        baseURL = configuration.controlURL + "/internal/v1"
        nodeID = configuration.nodeID
        authorization = "Authorization: Bearer " + configuration.fleetToken.reveal()
    }

    /// Asks for the manifest, and for the notice of the canary that this node is in.
    ///
    /// - Parameters:
    ///   - known: what is enforced; the same again is answered with 304.
    ///   - canary: the canary that is enforced with it.
    ///   - waitSeconds: how long the control plane may hold the call while there is nothing newer.
    ///   - done: called once with the answer and the notice, unless the transfer is cancelled.
    /// - Returns: the transfer, to cancel it; nil while the breaker is open, and `done` is called all the same.
    func manifest(
        known: SnapshotIdentity?,
        canary: String?,
        waitSeconds: Int?,
        _ done: @escaping (Answer, _ notice: [UInt8]?) -> Void
    ) -> Call? {
        var headers: [String] = []
        if let known {
            let suffix = canary.map { "-\($0)" } ?? ""
            headers.append("If-None-Match: \"\(known.lineage)-\(known.version)\(suffix)\"")
        }
        // A poll that may be the breaker's probe asks for an answer at once.
        let waitSeconds = breaker.isClosed ? waitSeconds : nil
        let wait = waitSeconds.map { "&wait=\($0)" } ?? ""
        let notice = HeadNote()
        return start(
            .get,
            "/snapshot/manifest?node=\(nodeID)" + wait,
            headers: headers,
            maxBytes: SnapshotBounds.maxManifestBytes,
            within: .seconds(5 + (waitSeconds ?? 0)),
            onHead: { notice.text = $0.value(of: "weir-canary-notice") },
            { answer in
                // What is not hex is no notice; the manifest it comes with is judged all the same.
                done(answer, notice.text.flatMap { bytes(hex: String(decoding: $0, as: UTF8.self)) })
            }
        )
    }

    /// Asks for a chunk of a known size, whatever the breaker says: its manifest has just been answered.
    func chunk(_ digest: Digest, byteCount: Int, _ done: @escaping (Answer) -> Void) -> Transfer {
        send(.get, "/snapshot/chunks/" + digest.hex, maxBytes: byteCount, within: .seconds(10), done)
    }

    /// Tells what this node enforces.
    func report(nodeID: String, body: [UInt8], _ done: @escaping (Answer) -> Void) {
        _ = start(
            .post,
            "/nodes/\(nodeID)/report",
            headers: ["Content-Type: application/json"],
            body: body,
            maxBytes: Self.maxAnswerBytes,
            within: .seconds(2),
            done
        )
    }

    /// Ships a batch of usage records.
    func usage(batch: [UInt8], _ done: @escaping (Answer) -> Void) {
        _ = start(
            .post,
            "/usage",
            headers: ["Content-Type: application/octet-stream"],
            body: batch,
            maxBytes: Self.maxAnswerBytes,
            within: .seconds(10),
            done
        )
    }

    /// Ends all calls; none is answered any more.
    func shutDown() { client.shutDown() }

    /// Ends a call that is of no use any more, without an answer; if it was the breaker's probe, the next one is.
    func cancel(_ call: Call) {
        call.transfer.cancel()
        breaker.abandoned(generation: call.generation, now: reactor.now.sinceOrigin)
    }

    /// Sends a call unless the breaker is open.
    private func start(
        _ method: HTTPClientRequest.Method,
        _ path: String,
        headers: [String] = [],
        body: [UInt8] = [],
        maxBytes: Int,
        within: Duration,
        onHead: @escaping (ResponseHead) -> Void = { _ in },
        _ done: @escaping (Answer) -> Void
    ) -> Call? {
        let generation: UInt64
        switch breaker.admits(now: reactor.now.sinceOrigin) {
        case .admitted(let admitted), .probe(let admitted): generation = admitted
        case .refused:
            // Later, as every answer comes: callers note the call first.
            _ = reactor.schedule(after: .zero) { done(.failure("the control plane's breaker is open")) }
            return nil
        }
        let transfer = send(
            method,
            path,
            headers: headers,
            body: body,
            maxBytes: maxBytes,
            within: within,
            onHead: onHead
        ) { [reactor, breaker] answer in
            let now = reactor.now.sinceOrigin
            switch answer {
            // One of 4xx speaks of the call, not of the control plane.
            case .response(let status, _) where status >= 500:
                breaker.failed(generation: generation, now: now, reason: "status")
            case .response: breaker.succeeded(generation: generation, now: now)
            case .failure: breaker.failed(generation: generation, now: now, reason: "no_answer")
            }
            done(answer)
        }
        return Call(transfer: transfer, generation: generation)
    }

    private func send(
        _ method: HTTPClientRequest.Method,
        _ path: String,
        headers: [String] = [],
        body: [UInt8] = [],
        maxBytes: Int,
        within: Duration,
        onHead: @escaping (ResponseHead) -> Void = { _ in },
        _ done: @escaping (Answer) -> Void
    ) -> Transfer {
        let request = HTTPClientRequest(
            method: method,
            url: baseURL + path,
            headers: [authorization] + headers,
            body: body,
            connectTimeout: Self.connectTimeout,
            firstByteTimeout: within,
            idleTimeout: Self.idleTimeout,
            totalTimeout: within + Self.idleTimeout
        )
        return client.start(request, delegate: Collector(maxBytes: maxBytes, onHead: onHead, done: done))
    }
}

/// Keeps one field of a head until the answer is whole.
private final class HeadNote {
    var text: [UInt8]?
}

/// Gathers one answer; an answer longer than its bound is cut off and is a failure.
private final class Collector: TransferDelegate {
    private let maxBytes: Int
    private let onHead: (ResponseHead) -> Void
    private var done: ((ControlClient.Answer) -> Void)?
    private var status = 0
    private var body: [UInt8] = []

    init(
        maxBytes: Int,
        onHead: @escaping (ResponseHead) -> Void,
        done: @escaping (ControlClient.Answer) -> Void
    ) {
        self.maxBytes = maxBytes
        self.onHead = onHead
        self.done = done
    }

    func transfer(_ transfer: Transfer, didReceiveHead head: ResponseHead) {
        status = head.status
        onHead(head)
    }

    func transfer(_ transfer: Transfer, didReceiveBody bytes: Span<UInt8>) {
        guard body.count + bytes.count <= maxBytes else {
            transfer.cancel()
            finish(.failure("answer over \(maxBytes) bytes"))
            return
        }
        for index in bytes.indices { body.append(bytes[index]) }
    }

    func transferDidFinish(_ transfer: Transfer, _ outcome: TransferOutcome) {
        switch outcome {
        case .complete: finish(.response(status: status, body: body))
        case .failed(let failure): finish(.failure("\(failure.reason) \(failure.detail)"))
        }
    }

    private func finish(_ answer: ControlClient.Answer) {
        let done = done.take()
        done?(answer)
    }
}
