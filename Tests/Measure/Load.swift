// Traffic on a schedule: a request is due at its time whether or not the ones before it were answered, and its latency
// counts from that time, so a system that stalls cannot hide the stall by slowing its clients down.

import Foundation
import Synchronization

/// One request of a load.
struct Sample: Sendable {
    /// When it was due, in nanoseconds of the monotonic clock.
    var due: Int64
    /// From due to the end of the answer, in nanoseconds.
    var latency: Int64
    /// 0 when there was no whole answer.
    var status: Int
    var remaining: Int64
    var resetMilliseconds: Int64
    /// When the answer had come, in milliseconds since the Unix epoch.
    var wallMilliseconds: Int64
    /// Which of the load's ports it went to.
    var node: Int

    var isGood: Bool { (200..<300).contains(status) }
}

/// Requests at a steady rate over many connections and nodes.
final class Load: Sendable {
    private struct State {
        var isStopping = false
        var samples: [Sample] = []
        var running = 0
    }

    private let state = Mutex(State())

    /// Begins at once.
    ///
    /// - Parameters:
    ///   - requests: sent in turn by each connection.
    ///   - ports: connection n goes to port n mod their count.
    ///   - perSecond: over all connections; nil for as fast as answers come.
    ///   - connections: each a thread.
    init(_ requests: [[UInt8]], ports: [Int], perSecond: Double?, connections: Int) {
        state.withLock { $0.running = connections }
        let start = Clock.nanoseconds + 20_000_000
        for index in 0..<connections {
            let thread = Thread { [self] in
                let node = index % ports.count
                run(
                    requests,
                    node: node,
                    port: ports[node],
                    first: perSecond.map { start + Int64(Double(index) / $0 * 1e9) } ?? start,
                    step: perSecond.map { Double(connections) / $0 * 1e9 },
                    offset: index
                )
            }
            thread.stackSize = 256 << 10
            thread.start()
        }
    }

    private func run(_ requests: [[UInt8]], node: Int, port: Int, first: Int64, step: Double?, offset: Int) {
        let wire = Wire(port: port)
        var samples: [Sample] = []
        var count = 0
        while !state.withLock({ $0.isStopping }) {
            var due = Clock.nanoseconds
            if let step {
                due = first + Int64(Double(count) * step)
                Clock.sleep(untilNanoseconds: due)
            }
            let answer = wire.exchange(requests[(count + offset) % requests.count])
            samples.append(
                Sample(
                    due: due,
                    latency: Clock.nanoseconds - due,
                    status: answer.status,
                    remaining: answer.remaining,
                    resetMilliseconds: answer.resetMilliseconds,
                    wallMilliseconds: Clock.wallMilliseconds,
                    node: node
                )
            )
            count += 1
            if answer.status == 0 { Clock.sleep(untilNanoseconds: Clock.nanoseconds + 5_000_000) }
        }
        state.withLock { state in
            state.samples += samples
            state.running -= 1
        }
    }

    /// Ends it and gives all that was sent, in the order it was due.
    func stop() async throws -> [Sample] {
        state.withLock { $0.isStopping = true }
        while state.withLock({ $0.running }) > 0 { try await Task.sleep(for: .milliseconds(5)) }
        return state.withLock { $0.samples }.sorted { $0.due < $1.due }
    }
}
