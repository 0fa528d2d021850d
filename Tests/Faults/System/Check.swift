// What must hold whatever broke: the three histories, and what clients may have met.

import Stack
import Testing

extension FaultSystem {
    /// Every request was served or refused by its limit; none failed, none waited.
    ///
    /// `longest` is what any request may have taken on a machine that is not itself late: a class (answered, not waited
    /// for), not a percentile.
    func expectUnharmed(
        _ history: History,
        longest: Duration = .seconds(1.5),
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(!history.samples.isEmpty, sourceLocation: sourceLocation)
        let failures = history.failures
        #expect(
            failures.isEmpty,
            "\(failures.count) of \(history.samples.count) failed, first \(failures.prefix(3))",
            sourceLocation: sourceLocation
        )
        // A request passes some five threads, each of which may be kept waiting as ours were.
        let bound = longest + history.hiccup * 5
        let slow = history.samples.filter { $0.took > bound }
        #expect(
            slow.isEmpty,
            "\(slow.count) of \(history.samples.count) waited over \(bound), first \(slow.prefix(3))",
            sourceLocation: sourceLocation
        )
    }

    /// Each request of the app that a client saw served reached the provider once, and no other did.
    func expectServedOnce(
        _ app: FaultApp,
        _ history: History,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let served = provider.served(app.id)
        let seen = history.served(app.id)
        #expect(served.requests == seen.count, "the provider's count", sourceLocation: sourceLocation)
        let doubled = served.times.filter { $0.value > 1 }
        #expect(doubled.isEmpty, "sent to the provider more than once", sourceLocation: sourceLocation)
    }

    /// The control plane comes to count what the provider served this app, no more and no less.
    func expectUsage(
        _ app: FaultApp,
        within deadline: Duration = .seconds(15),
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let expected = app.servedCount
        let isThere = await wait(upTo: deadline, every: .milliseconds(50)) {
            do { return try await app.usage().requests >= expected } catch { return false }
        }
        let usage = try await app.usage()
        #expect(isThere, "usage rows \(usage.requests) of \(expected)", sourceLocation: sourceLocation)
        #expect(usage.requests == expected, "usage rows", sourceLocation: sourceLocation)
        #expect(
            usage.totalTokens == expected * CountingProvider.totalTokens,
            "tokens",
            sourceLocation: sourceLocation
        )
    }
}

/// Looks at the nodes' snapshot versions over and over, and remembers whether one ever went back.
final class VersionWatch: Sendable {
    private let task: Task<[String], Never>

    init(_ system: FaultSystem) {
        task = Task {
            var last: [Int: Double] = [:]
            var steps: [String] = []
            while !Task.isCancelled {
                for node in system.nodes.indices {
                    do {
                        let metrics = try await system.metrics(node)
                        guard let version = metrics.value("weir_snapshot_version") else { continue }
                        if version < last[node] ?? 0 {
                            steps.append("node \(node) went from \(last[node] ?? 0) to \(version)")
                        }
                        last[node] = version
                    } catch {
                        continue  // it is down or stopped, which is no version
                    }
                }
                await pause(for: .milliseconds(50))
            }
            return steps
        }
    }

    /// Ends the watch.
    ///
    /// - Returns: every step back.
    func stepsBack() async -> [String] {
        task.cancel()
        return await task.value
    }
}

/// Waits for a condition and fails the test when it does not come to hold.
func expectSoon(
    _ what: String,
    within deadline: Duration,
    sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: @Sendable () async throws -> Bool
) async {
    let holds = await wait(upTo: deadline, every: .milliseconds(20)) {
        do { return try await condition() } catch { return false }
    }
    #expect(holds, "\(what) within \(deadline)", sourceLocation: sourceLocation)
}
