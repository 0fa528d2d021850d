// `/readyz?verbose`: what an operator asks a node first: what it enforces, how old that is, and which of its
// dependencies it does without, why and since when. Readiness itself is in none of it but `ready`.

import Breaker
import Limits
import Reactor
import Telemetry

/// The verbose answer, as JSON; written by hand, because no dependency's outage may cost more than this.
enum ReadyReport {
    static func make(_ status: NodeStatus, place: FleetPlace, breakers: [SharedBreaker], isReady: Bool) -> [UInt8] {
        let now = MonotonicTime.now
        var snapshot = ReportText()
        snapshot.append("version", status.version)
        snapshot.append("lineage", status.lineage)
        snapshot.append("source", status.source?.rawValue ?? "none")
        snapshot.append(
            "age_seconds",
            status.version == 0 ? 0 : max(0, WallClock.milliseconds - status.createdAt) / 1_000
        )
        if let confirmedAt = status.confirmedAt {
            snapshot.append("confirmed_seconds_ago", max(0, (now - confirmedAt).components.seconds))
        }
        snapshot.append("newest_is_refused", raw: status.refusal == nil ? "false" : "true")
        var text = ReportText()
        text.append("ready", raw: isReady ? "true" : "false")
        text.append("snapshot", raw: snapshot.bytes)
        text.append("live_nodes", place.nodes)
        text.append("rank", place.rank)
        var dependencies: [UInt8] = []
        for breaker in breakers {
            if !dependencies.isEmpty { dependencies.append(UInt8(ascii: ",")) }
            dependencies += dependency(breaker, now: now)
        }
        text.append("dependencies", raw: [UInt8(ascii: "[")] + dependencies + [UInt8(ascii: "]")])
        return text.bytes
    }

    private static func dependency(_ breaker: SharedBreaker, now: MonotonicTime) -> [UInt8] {
        let standing = breaker.standing
        var text = ReportText()
        text.append("name", breaker.dependency)
        text.append("state", standing.state.name)
        // Of one that is closed, why it was open last.
        if let reason = standing.reason { text.append("reason", reason) }
        if let since = standing.since {
            let elapsed = max(.zero, now.sinceOrigin - since)
            let milliseconds =
                elapsed.components.seconds * 1_000 + elapsed.components.attoseconds / 1_000_000_000_000_000
            text.append("since", WallClock.rfc3339(WallClock.milliseconds - milliseconds))
        }
        text.append("opened", standing.opened)
        return text.bytes
    }
}
