// One request on the Reactor: from its reservation to the settled truth, whatever happens in between.

import LLMWire
import Ledger
import Limits
import NIOCore
import Reactor
import Tokens

/// The life of a forwarded request; ends exactly once, by `finish`.
final class UpstreamExchange: TransferDelegate {
    private enum State {
        case reserving
        case forwarding(Transfer)
        /// An attempt failed with this end; the event loop was asked whether there is another.
        case asking(UpstreamSummary.End)
        case finished
    }

    /// An answer that is no success: another attempt may still do better, so nothing of it has been passed on.
    private struct HeldAnswer {
        let head: UpstreamHead
        var body: [UInt8] = []
    }

    let job: ForwardJob
    private unowned let forwarder: Forwarder
    private let maxUnsentBytes: Int
    private var state = State.reserving
    private var held: HeldReservation?
    private var attempt: UpstreamAttempt
    private var heldAnswer: HeldAnswer?
    /// Whether the attempt's end has been reported to its provider's health.
    private var hasReported = false
    /// Whether a part of the request may have reached a provider in any attempt.
    private var hasSent = false
    private var tap: UsageTap
    private var stripper: UsageStripper?
    private var status = 0
    private var bodyBytes = 0
    private var unsentBytes = 0
    private let started: MonotonicTime = .now
    private var firstByteMicroseconds: Int64 = 0
    /// Whether an event stream comes whose first token is timed.
    private var isStreaming = false
    private var times = UpstreamTimes()
    private var event: UpstreamEvent
    private var isEventNoted = false

    init(_ job: ForwardJob, forwarder: Forwarder, maxUnsentBytes: Int) {
        self.job = job
        self.forwarder = forwarder
        self.maxUnsentBytes = maxUnsentBytes
        attempt = job.attempt
        event = UpstreamEvent(id: job.id)
        tap = UsageTap(format: job.endpoint.format, isEventStream: false)
    }

    // MARK: Reserve

    func admit(_ reservation: HeldReservation?) {
        guard case .reserving = state else {
            // Cancelled while Redis was asked: nothing was sent, so all of it goes back.
            if let reservation { forwarder.limits.release(reservation) }
            return
        }
        held = reservation
        times.last.sent = forwarder.stamp()
        if let reservation {
            if times.last.sent > 0 { (times.reserving, times.reserved) = (started.nanoseconds, times.last.sent) }
            event.reservation = .admitted(reservation.states)
            noteChange()
        }
        state = .forwarding(forwarder.startTransfer(attempt.request, for: self))
    }

    func refuse(_ refusal: Reservation) {
        guard case .reserving = state else { return }
        attempt.health.abandon(attempt.admission, now: forwarder.now)
        let now = forwarder.stamp()
        if now > 0 { (times.reserving, times.reserved) = (started.nanoseconds, now) }
        event.reservation = refusal
        finish(.refused)
    }

    // MARK: Forward and tap

    func transfer(_ transfer: Transfer, didReceiveHead head: ResponseHead) {
        status = head.status
        hasSent = true
        firstByteMicroseconds = elapsedMicroseconds()
        times.last.status = head.status
        times.last.firstByte = started.nanoseconds + UInt64(firstByteMicroseconds) * 1_000
        reportHead()
        let isEventStream = HeaderFilter.isEventStream(head)
        isStreaming = isEventStream && head.status < 400 && times.last.sent > 0
        tap = UsageTap(format: job.endpoint.format, isEventStream: isEventStream)
        if attempt.stripsUsage, isEventStream, head.status < 400 { stripper = UsageStripper() }
        let answer = UpstreamHead(
            status: head.status,
            headers: HeaderFilter.clientHeaders(head, keepsLength: stripper == nil),
            isEventStream: isEventStream
        )
        guard head.status < 400 else {
            heldAnswer = HeldAnswer(head: answer)
            return
        }
        event.head = answer
        noteChange()
    }

    func transfer(_ transfer: Transfer, didReceiveBody bytes: Span<UInt8>) {
        if isStreaming, times.last.firstToken == 0 { times.last.firstToken = forwarder.stamp() }
        tap.observe(bytes)
        guard heldAnswer == nil else { return hold(bytes, of: transfer) }
        guard stripper == nil else {
            var kept: [UInt8] = []
            kept.reserveCapacity(bytes.count)
            stripper?.filter(bytes, into: &kept)
            pass(kept.span, of: transfer)
            return
        }
        pass(bytes, of: transfer)
    }

    /// Keeps what an error says until it is whole, since only that tells what the error means; one that is too long to be
    /// an error's is passed on as it comes.
    private func hold(_ bytes: Span<UInt8>, of transfer: Transfer) {
        unsafe bytes.withUnsafeBufferPointer { unsafe heldAnswer?.body.append(contentsOf: $0) }
        guard let size = heldAnswer?.body.count, size > ProviderError.maxLookedAtBytes else { return }
        passHeldAnswer(of: transfer)
    }

    private func passHeldAnswer(of transfer: Transfer?) {
        guard let answer = heldAnswer else { return }
        heldAnswer = nil
        event.head = answer.head
        pass(answer.body.span, of: transfer)
        noteChange()
    }

    private func pass(_ bytes: Span<UInt8>, of transfer: Transfer?) {
        guard !bytes.isEmpty else { return }
        if event.body == nil { event.body = ByteBuffer() }
        _ = unsafe event.body?.writeBytes(bytes.bytes)
        bodyBytes += bytes.count
        unsentBytes += bytes.count
        noteChange()
        if unsentBytes > maxUnsentBytes, let transfer, !transfer.isPaused { transfer.pause() }
    }

    func credit(_ bytes: Int) {
        unsentBytes -= bytes
        guard case .forwarding(let transfer) = state, transfer.isPaused, unsentBytes <= maxUnsentBytes / 2 else {
            return
        }
        transfer.resume()
    }

    func transferDidFinish(_ transfer: Transfer, _ outcome: TransferOutcome) {
        times.last.ended = forwarder.stamp()
        reportEnd(outcome)
        if let failure = retryableFailure(outcome) { return ask(failure, outcome) }
        passHeldAnswer(of: nil)
        switch outcome {
        case .complete:
            if stripper != nil {
                var kept: [UInt8] = []
                stripper?.finish(into: &kept)
                pass(kept.span, of: transfer)
            }
            finish(.complete)
        case .failed(let failure):
            // Half an event of the provider's must not run into the error event that follows.
            stripper?.discardHeld()
            finish(.failed(failure))
        }
    }

    func cancel() {
        if case .finished = state { return }
        if case .forwarding(let transfer) = state {
            hasSent = hasSent || transfer.hasSentRequest
            transfer.cancel()
            times.last.ended = forwarder.stamp()
        }
        if !hasReported { attempt.health.abandon(attempt.admission, now: forwarder.now) }
        finish(.cancelled)
    }

    // MARK: Other attempts

    /// - Returns: nil when the attempt did not fail, or a part of its answer has been passed on.
    private func retryableFailure(_ outcome: TransferOutcome) -> AttemptFailure? {
        if let answer = heldAnswer {
            return AttemptFailure(status: status, headers: answer.head.headers, body: answer.body)
        }
        guard status == 0, case .failed(let failure) = outcome else { return nil }
        return AttemptFailure(failure)
    }

    private func ask(_ failure: AttemptFailure, _ outcome: TransferOutcome) {
        switch outcome {
        case .complete: state = .asking(.complete)
        case .failed(let failure):
            hasSent = hasSent || failure.sentRequest
            state = .asking(.failed(failure))
        }
        event.failure = failure
        noteChange()
    }

    /// The event loop found another route, or another moment.
    func tryAgain(_ attempt: UpstreamAttempt) {
        guard case .asking = state else { return attempt.health.abandon(attempt.admission, now: forwarder.now) }
        self.attempt = attempt
        times.earlier.append(times.last)
        times.last = AttemptTimes(sent: forwarder.stamp())
        heldAnswer = nil
        hasReported = false
        status = 0
        firstByteMicroseconds = 0
        state = .forwarding(forwarder.startTransfer(attempt.request, for: self))
    }

    /// The event loop has no other attempt to make.
    func giveUp() {
        guard case .asking(let end) = state else { return }
        passHeldAnswer(of: nil)
        finish(end)
    }

    /// A probe has its answer with the head: a stream's end may be minutes away.
    private func reportHead() {
        if AttemptFailure.tellsAgainst(status: status) {
            hasReported = true
            attempt.health.failed(attempt.admission, now: forwarder.now, reason: "status")
        } else if attempt.admission.isProbe {
            attempt.health.succeeded(attempt.admission, now: forwarder.now)
            hasReported = true
        }
    }

    private func reportEnd(_ outcome: TransferOutcome) {
        guard !hasReported else { return }
        hasReported = true
        switch outcome {
        case .complete: attempt.health.succeeded(attempt.admission, now: forwarder.now)
        // An answer that began well and breaks off says neither that the provider is out nor that it works.
        case .failed(let failure) where status == 0 && AttemptFailure.tellsAgainst(failure):
            let reason = AttemptFailure(failure)?.reason.rawValue ?? "other"
            attempt.health.failed(attempt.admission, now: forwarder.now, reason: reason)
        case .failed: attempt.health.abandon(attempt.admission, now: forwarder.now)
        }
    }

    // MARK: Settle

    private func finish(_ end: UpstreamSummary.End) {
        let wasForwarded = if case .forwarding = state { true } else { false }
        state = .finished
        let (usage, source) = wasForwarded ? billed(end) : (TokenUsage(), UsageRecord.Source.none)
        settle(end, usage: usage)
        event.summary = UpstreamSummary(
            end: end,
            nextSequenceNumber: tap.lastSequenceNumber + 1,
            isAtEventBoundary: stripper != nil || tap.isAtEventBoundary,
            usage: usage,
            source: source,
            firstByteMicroseconds: firstByteMicroseconds,
            upstreamStatus: status,
            bodyBytes: bodyBytes,
            times: times
        )
        noteChange()
        forwarder.remove(self)
    }

    /// What the request cost: the provider's word, else an estimate from the bytes that passed.
    private func billed(_ end: UpstreamSummary.End) -> (TokenUsage, UsageRecord.Source) {
        if status == 0, end == .cancelled {
            guard hasSent else { return (TokenUsage(), .none) }
            // The provider had the prompt when the client left: hanging up early must not make prompts free.
            var usage = TokenUsage()
            usage.prompt = job.promptEstimate
            usage.completion = 0
            usage.total = job.promptEstimate
            return (usage, .partial)
        }
        guard (200..<300).contains(status) else { return (TokenUsage(), .none) }
        let result = tap.finish()
        var usage = result.usage ?? TokenUsage()
        let isWhole = end == .complete && result.ended != .truncated && result.ended != .error
        if usage.prompt != nil, usage.completion != nil, isWhole { return (usage, .provider) }
        if job.endpoint == .embeddings, usage.prompt != nil, isWhole { return (usage, .provider) }
        let seen = TokenEstimate.likely(textBytes: result.outputTextBytes)
        usage.prompt = usage.prompt ?? job.promptEstimate
        usage.completion = max(usage.completion ?? 0, seen)
        usage.total = (usage.prompt ?? 0) + (usage.completion ?? 0)
        return (usage, isWhole ? .estimated : .partial)
    }

    private func settle(_ end: UpstreamSummary.End, usage: TokenUsage) {
        guard let held else { return }
        self.held = nil
        if case .failed(let failure) = end { hasSent = hasSent || failure.sentRequest }
        guard hasSent else { return forwarder.limits.release(held) }
        let used = usage.total ?? (usage.prompt ?? 0) + (usage.completion ?? 0)
        forwarder.limits.settle(held, usedTokens: Int64(used))
    }

    // MARK: Telling the event loop

    private func noteChange() {
        guard !isEventNoted else { return }
        isEventNoted = true
        forwarder.noteChange(self)
    }

    func takeEvent() -> UpstreamEvent {
        isEventNoted = false
        defer { event = UpstreamEvent(id: job.id) }
        return event
    }

    private func elapsedMicroseconds() -> Int64 {
        Int64((MonotonicTime.now.nanoseconds - started.nanoseconds) / 1_000)
    }
}
