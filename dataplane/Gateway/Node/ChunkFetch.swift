// Brings the chunks of one manifest that the node does not hold: Redis first, the control plane for what Redis lacks.
// Nothing is believed but bytes with the size and the digest that the signed manifest names.

import Reactor
import Secrets
import Snapshot

/// The fetch of one snapshot's missing chunks; answers once, or never after `cancel()`.
///
/// Confined to the node's Reactor.
final class ChunkFetch {
    /// A chunk as a manifest names it.
    struct Wanted: Hashable {
        let digest: Digest
        let byteCount: Int
    }

    /// What came, and why the rest did not.
    struct Outcome {
        var chunks: [Digest: [UInt8]] = [:]
        var fromRedis: UInt64 = 0
        var fromControl: UInt64 = 0
        var redisMisses: UInt64 = 0
        var controlMisses: UInt64 = 0
        /// Nil when all chunks came.
        var trouble: String?
    }

    private static let maxRedisWaiting = 64
    private static let maxTransfers = 8

    private let redis: RedisConnection?
    private let control: ControlClient
    private var forRedis: [Wanted]
    private var forControl: [Wanted] = []
    private var waitingCount = 0
    private var transfers: [Digest: Transfer] = [:]
    private var outcome = Outcome()
    private var done: ((Outcome) -> Void)?

    /// Makes a fetch that `start()` begins.
    ///
    /// - Parameters:
    ///   - wanted: each once.
    ///   - redis: nil when Redis is known to be out, so that nothing waits for its deadline.
    ///   - control: asked for what Redis lacks.
    ///   - done: called once, unless the fetch is cancelled.
    init(
        _ wanted: [Wanted],
        redis: RedisConnection?,
        control: ControlClient,
        _ done: @escaping (Outcome) -> Void
    ) {
        self.redis = redis
        self.control = control
        self.done = done
        if redis == nil {
            forRedis = []
            forControl = wanted
        } else {
            forRedis = wanted
        }
    }

    func start() { advance() }

    func cancel() {
        done = nil
        for transfer in transfers.values { transfer.cancel() }
        transfers = [:]
    }

    private func advance() {
        guard done != nil else { return }
        while let redis, waitingCount < Self.maxRedisWaiting, let wanted = forRedis.popLast() {
            waitingCount += 1
            redis.command([Array("GET".utf8), RedisNames.chunk(wanted.digest)]) { [weak self] reply in
                self?.redisAnswered(reply, wanted)
            }
        }
        // One that is lost for good ends the fetch: the snapshot cannot be whole.
        while outcome.trouble == nil, transfers.count < Self.maxTransfers, let wanted = forControl.popLast() {
            transfers[wanted.digest] = control.chunk(wanted.digest, byteCount: wanted.byteCount) { [weak self] answer in
                self?.controlAnswered(answer, wanted)
            }
        }
        let isOver = outcome.trouble != nil || (forRedis.isEmpty && waitingCount == 0 && forControl.isEmpty)
        guard isOver, transfers.isEmpty else { return }
        let done = done.take()
        done?(outcome)
    }

    private func redisAnswered(_ reply: Result<RedisReply, RedisFailure>, _ wanted: Wanted) {
        waitingCount -= 1
        if case .success(.bulk(let bytes)) = reply, keep(bytes, as: wanted) {
            outcome.fromRedis += 1
        } else {
            outcome.redisMisses += 1
            forControl.append(wanted)  // expired, torn or out of reach
        }
        advance()
    }

    private func controlAnswered(_ answer: ControlClient.Answer, _ wanted: Wanted) {
        transfers[wanted.digest] = nil
        let name = wanted.digest.hex.prefix(12)
        switch answer {
        case .response(status: 200, let body):
            if keep(body, as: wanted) {
                outcome.fromControl += 1
            } else {
                outcome.trouble = "chunk \(name) is not what its digest says"
            }
        case .response(let status, _):
            outcome.trouble = "chunk \(name) is missing: status \(status)"
        case .failure(let reason):
            outcome.trouble = "chunk \(name) is missing: \(reason)"
        }
        if outcome.trouble != nil { outcome.controlMisses += 1 }
        advance()
    }

    private func keep(_ bytes: [UInt8], as wanted: Wanted) -> Bool {
        guard bytes.count == wanted.byteCount, SHA256.digest(bytes) == wanted.digest else { return false }
        outcome.chunks[wanted.digest] = bytes
        return true
    }
}
