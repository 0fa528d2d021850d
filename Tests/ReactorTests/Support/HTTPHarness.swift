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
    var bodySum: UInt64 = 0
    let bodyCount = Atomic<Int>(0)

    func transfer(_ transfer: Transfer, didReceiveHead head: ResponseHead) {
        answer.withLock { $0.heads.append(head) }
        onHead(transfer)
    }

    func transfer(_ transfer: Transfer, didReceiveBody bytes: Span<UInt8>) {
        var copy: [UInt8] = []
        copy.reserveCapacity(bytes.count)
        for index in bytes.indices { copy.append(bytes[index]) }
        for byte in copy { bodySum = bodySum &* 31 &+ UInt64(byte) }
        if keepsBody { answer.withLock { $0.body += copy } }
        bodyCount.add(copy.count, ordering: .relaxed)
        onBody(transfer, copy.count)
    }

    func transferDidFinish(_ transfer: Transfer, _ outcome: TransferOutcome) {
        answer.withLock { $0.outcomes.append(outcome) }
        onFinish(transfer)
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
