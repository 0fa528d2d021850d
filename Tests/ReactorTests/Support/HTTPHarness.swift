// An HTTPClient on a Reactor thread, for tests that await its answers.

import Foundation
import Reactor
import Synchronization

/// Everything that a delegate heard of one transfer.
struct Answer: Sendable {
    var heads: [ResponseHead] = []
    var body: [UInt8] = []
    var outcomes: [TransferOutcome] = []

    var outcome: TransferOutcome? { outcomes.first }
    var text: String { String(decoding: body, as: UTF8.self) }
    var failure: TransferFailure? {
        if case .failed(let failure) = outcomes.first { failure } else { nil }
    }
}

/// Records a transfer and acts at chosen points, on the Reactor's thread.
final class Recorder: TransferDelegate, @unchecked Sendable {  // touched on the Reactor; read behind the mutex
    let answer = Mutex(Answer())
    var onHead: (Transfer) -> Void = { _ in }
    var onBody: (Transfer, Int) -> Void = { _, _ in }
    var onFinish: (Transfer) -> Void = { _ in }
    var keepsBody = true
    /// What the body should repeat, again and again.
    var expectedPattern: [UInt8] = []
    var mismatches = 0
    private let startedAt = ContinuousClock.now
    private var finishedAt = ContinuousClock.now
    let bodyCount = Atomic<Int>(0)

    func transfer(_ transfer: Transfer, didReceiveHead head: ResponseHead) {
        answer.withLock { $0.heads.append(head) }
        onHead(transfer)
    }

    func transfer(_ transfer: Transfer, didReceiveBody bytes: Span<UInt8>) {
        let copy = unsafe bytes.withUnsafeBufferPointer { unsafe Array($0) }
        if keepsBody { answer.withLock { $0.body += copy } }
        if !expectedPattern.isEmpty { compare(copy) }
        bodyCount.add(copy.count, ordering: .relaxed)
        onBody(transfer, copy.count)
    }

    func transferDidFinish(_ transfer: Transfer, _ outcome: TransferOutcome) {
        finishedAt = .now
        answer.withLock { $0.outcomes.append(outcome) }
        onFinish(transfer)
    }

    /// From the recorder's making to the end, as the Reactor's thread saw it.
    var duration: Duration { finishedAt - startedAt }

    private func compare(_ bytes: [UInt8]) {
        var position = bodyCount.load(ordering: .relaxed) % expectedPattern.count
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = min(rest.count, expectedPattern.count - position)
            let isEqual = unsafe rest.withUnsafeBytes { left in
                unsafe expectedPattern.withUnsafeBytes { right in
                    guard let left = left.baseAddress, let right = right.baseAddress else { return false }
                    return unsafe memcmp(left, right + position, count) == 0
                }
            }
            if !isEqual { mismatches += 1 }
            rest = rest.dropFirst(count)
            position = 0
        }
    }
}

final class HTTPHarness: Sendable {
    final class State: @unchecked Sendable {  // touched on the Reactor's thread only
        var client: HTTPClient?
    }

    let handle: ReactorHandle
    private let state = State()

    init(limits: HTTPClientLimits = HTTPClientLimits()) throws {
        let state = state
        handle = try ReactorHandle.start(name: "http-test") { reactor in
            state.client = HTTPClient(reactor: reactor, limits: limits)
            reactor.atStop { state.client = nil }
        }
    }

    deinit { handle.stop() }

    /// Runs `body` on the Reactor.
    func onReactor<Value: Sendable>(_ body: @escaping @Sendable (HTTPClient, Reactor) -> Value) async -> Value {
        let state = state
        return await withCheckedContinuation { continuation in
            handle.post { reactor in
                guard let client = state.client else { preconditionFailure("made in the set-up") }
                continuation.resume(returning: body(client, reactor))
            }
        }
    }

    /// Sends a request and waits for its end.
    func fetch(
        _ request: HTTPClientRequest,
        _ recorder: Recorder = Recorder(),
        then act: @escaping @Sendable (Transfer, Reactor) -> Void = { _, _ in }
    ) async -> Answer {
        await onReactor { client, reactor in act(client.start(request, delegate: recorder), reactor) }
        _ = await eventually(within: .seconds(30)) { recorder.answer.withLock { !$0.outcomes.isEmpty } }
        return recorder.answer.withLock { $0 }
    }

    func get(_ url: String) async -> Answer { await fetch(HTTPClientRequest(method: .get, url: url)) }

    var activeCount: Int {
        get async { await onReactor { client, _ in client.activeCount } }
    }
}
