// `?wait=applied`: a write answers only when every live node enforces it, so that a script may send the next request
// right away. Nodes report each swap at once, so this costs about what the swap does.

/// How long a write waits for the nodes.
struct AppliedWait: Sendable {
    static let parameters: Set<String> = ["wait", "timeout"]

    let timeout: Duration

    /// nil when no wait was asked for.
    ///
    /// - Throws: 400 for another value.
    init?(_ query: Query) throws(Problem) {
        guard let wait = query["wait"] else {
            guard query["timeout"] == nil else { throw .badParameter("timeout", "goes with wait=applied only") }
            return nil
        }
        guard wait == "applied" else { throw .badParameter("wait", "must be applied") }
        guard let text = query["timeout"] else {
            timeout = .seconds(10)
            return
        }
        guard let seconds = Int(text.hasSuffix("s") ? text.dropLast() : text[...]), (1...60).contains(seconds) else {
            throw .badParameter("timeout", "must be 1 to 60, in seconds")
        }
        timeout = .seconds(seconds)
    }
}

/// Waits until all live nodes enforce a version.
struct AppliedWaiter: Sendable {
    let nodes: NodeRegistry
    let holder: SnapshotHolder

    /// - Parameters:
    ///   - version: the configuration's version that must be enforced.
    ///   - wait: how long.
    ///   - canary: the canary that the write opened: then only its nodes are waited for, and until they enforce it.
    ///   - lost: the lineage of what was compiled here when the version was made, if that was no earlier one: the
    ///     database has lost versions, and nothing of that lineage is this version.
    /// - Throws: 504 naming the nodes that lag, with the reason of those that refused, when the time is over.
    func wait(
        for version: Int64,
        _ wait: AppliedWait,
        canary: String? = nil,
        lost: String? = nil
    ) async throws(Problem) {
        let clock = ContinuousClock()
        let deadline = clock.now + wait.timeout
        while true {
            let rings = nodes.changed.rings
            let lagging = lagging(version, canary)
            if lagging.isEmpty, isCompiled(version, lost) { return }
            guard clock.now < deadline, !holder.isEnding, !Task.isCancelled else {
                let names = lagging.prefix(20).map { node in
                    let reason =
                        node.status == .nack ? ", refused a newer one: \(node.reason ?? "no reason given")" : ""
                    return "\(node.nodeID) (has version \(node.version)\(reason))"
                }
                let detail =
                    names.isEmpty ? "It is not compiled yet." : "Not applied by: \(names.joined(separator: ", "))."
                throw .notApplied(detail, version: version)
            }
            await nodes.changed.wait(past: rings, atMost: min(deadline - clock.now, .milliseconds(250)))
            // Another control plane may have heard the report; one that cannot be asked changes nothing.
            do { try await nodes.refresh() } catch { continue }
        }
    }

    private func isCompiled(_ version: Int64, _ lost: String?) -> Bool {
        holder.current.map { Int64($0.version) >= version && $0.lineage != lost } ?? false
    }

    private func lagging(_ version: Int64, _ canary: String?) -> [NodeReport] {
        let current = holder.current
        // A canary that is closed by now is waited for no longer, only the version.
        let open = canary == nil ? nil : current?.canary.flatMap { $0.id == canary ? $0 : nil }
        return nodes.live(at: Timestamp.now).filter { node in
            if let open {
                guard open.includes(nodeID: node.nodeID) else { return false }
                if node.canary != open.id { return true }
            }
            return node.version < version || node.lineage != current?.lineage
        }
    }
}
