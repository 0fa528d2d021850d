// A wait that cancellation does not cut short. Stopping servers must take its turns also in a cancelled task,
// where `Task.sleep` returns at once and a polling loop would spin.

internal import Dispatch

/// Waits at least this long, cancelled or not; costs no thread.
///
/// - Parameter duration: rounded down to milliseconds.
public func pause(for duration: Duration) async {
    let (seconds, attoseconds) = duration.components
    let milliseconds = Int(seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000)
    await withCheckedContinuation { continuation in
        DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(milliseconds)) { continuation.resume() }
    }
}

/// Waits until a condition holds, looking every few milliseconds.
///
/// - Parameters:
///   - deadline: how long to go on looking.
///   - interval: the pause between two looks.
///   - condition: what to wait for.
/// - Returns: false when the deadline passed first.
public func wait(
    upTo deadline: Duration,
    every interval: Duration = .milliseconds(10),
    until condition: @Sendable () async -> Bool
) async -> Bool {
    let end = ContinuousClock.now + deadline
    while true {
        if await condition() { return true }
        if ContinuousClock.now >= end { return false }
        await pause(for: interval)
    }
}
