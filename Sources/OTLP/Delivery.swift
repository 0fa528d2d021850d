// One batch on its way to a collector: sent, sent again when the collector says so, given up in the end.

internal import Codec
internal import OTLPMessages
internal import Reactor
internal import SwiftProtobuf

/// A batch and its attempts; confined to the exporter's Reactor.
///
/// - Source: OTLP specification 1.x, "OTLP/HTTP Response" and "Failures": which answers are tried again, and that
///   `Retry-After` says when.
final class Delivery: TransferDelegate {
    /// How a batch ended.
    enum End: Equatable {
        /// The collector has it; of so many items it took none.
        case delivered(rejected: Int)
        /// It will not reach the collector; in words of ours.
        case failed(String)
    }

    /// Answers beyond this are not read.
    static let maxAnswerBytes = 64 << 10
    /// Attempts of one batch.
    private static let maxAttempts = 5
    /// The wait after the first failure; doubled each time, and drawn from its upper half.
    private static let firstWait: Duration = .milliseconds(500)
    private static let longestWait: Duration = .seconds(30)

    private let client: HTTPClient
    private let reactor: Reactor
    private let request: HTTPClientRequest
    private let onEnd: (End) -> Void
    private var transfer: Transfer?
    private var retry: ReactorTimer?
    private var attempts = 0
    private var status = 0
    private var retryAfter: Duration?
    private var body: [UInt8] = []
    private var hasEnded = false

    init(_ request: HTTPClientRequest, client: HTTPClient, reactor: Reactor, onEnd: @escaping (End) -> Void) {
        self.client = client
        self.reactor = reactor
        self.request = request
        self.onEnd = onEnd
    }

    /// Whether the collector has said when to come again, and that is not yet.
    private(set) var isToldToWait = false

    /// Whether an attempt is under way; between two of them there is none.
    var isSending: Bool { transfer != nil }

    /// Begins the next attempt.
    func send() {
        attempts += 1
        isToldToWait = false
        status = 0
        retryAfter = nil
        body = []
        transfer = client.start(request, delegate: self)
    }

    /// Gives the batch up where it stands.
    func abandon() {
        transfer?.cancel()
        if let retry { reactor.cancel(retry) }
        end(.failed("there was no time left"))
    }

    func transfer(_ transfer: Transfer, didReceiveHead head: ResponseHead) {
        status = head.status
        retryAfter = Self.wait(head)
    }

    /// What `Retry-After` says, in seconds or as a date by the collector's own clock; 5 minutes at most.
    private static func wait(_ head: ResponseHead) -> Duration? {
        guard let text = head.value(of: "retry-after") else { return nil }
        let seconds =
            Int(String(decoding: text, as: UTF8.self))
            ?? HTTPDate.seconds(until: text, from: head.value(of: "date"))
        return seconds.map { .seconds(min(max($0, 0), 300)) }
    }

    func transfer(_ transfer: Transfer, didReceiveBody bytes: Span<UInt8>) {
        guard body.count + bytes.count <= Self.maxAnswerBytes else {
            // What it has to say is in the status; the rest is not waited for.
            transfer.cancel()
            return judge(nil)
        }
        unsafe bytes.withUnsafeBufferPointer { unsafe body.append(contentsOf: $0) }
    }

    func transferDidFinish(_ transfer: Transfer, _ outcome: TransferOutcome) {
        switch outcome {
        case .complete: judge(nil)
        case .failed(let failure): judge(failure)
        }
    }

    private func judge(_ failure: TransferFailure?) {
        transfer = nil
        if failure == nil, (200..<300).contains(status) { return end(.delivered(rejected: rejected)) }
        let reason = failure.map { "\($0.reason)" } ?? "status \(status)"
        let isRetryable = failure.map(Self.isRetryable) ?? [429, 502, 503, 504].contains(status)
        guard isRetryable, attempts < Self.maxAttempts else { return end(.failed(reason)) }
        let doubled = Self.firstWait * (1 << (attempts - 1))
        let wait = min(doubled, Self.longestWait) * Double.random(in: 0.5...1)
        isToldToWait = retryAfter != nil
        retry = reactor.schedule(after: retryAfter ?? wait) { [unowned self] in send() }
    }

    private static func isRetryable(_ failure: TransferFailure) -> Bool {
        switch failure.reason {
        case .invalidRequest, .addressRefused, .tls, .shutDown: false
        default: true
        }
    }

    /// What the collector says that it did not take; its message is not repeated, since it may quote what it was sent.
    private var rejected: Int {
        do {
            // The answers of both signals have the same shape.
            let answer = try Opentelemetry_Proto_Collector_Trace_V1_ExportTraceServiceResponse(serializedBytes: body)
            return Int(clamping: answer.partialSuccess.rejectedSpans)
        } catch {
            return 0  // an answer that is none says that nothing was rejected
        }
    }

    private func end(_ end: End) {
        guard !hasEnded else { return }
        hasEnded = true
        transfer = nil
        retry = nil
        onEnd(end)
    }
}
