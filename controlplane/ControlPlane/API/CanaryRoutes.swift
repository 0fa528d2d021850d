// A policy's change for some nodes first: `?canary=10%` on a policy's write opens a canary, promote makes the change
// everybody's, abort takes it back. One canary at a time; other changes go on and reach all nodes meanwhile.

import Policy
import Postgres
import Secrets
import Snapshot

/// Writes of policies with `?canary=`, and the operations under `/v1/snapshots/canary`.
struct CanaryRoutes: Sendable {
    /// Names the canary that a write opened.
    static let header = "weir-canary"
    /// The notice in hex, beside a manifest.
    static let noticeHeader = "weir-canary-notice"
    private static let path = "/v1/snapshots/canary"

    let store: Store
    let nodes: NodeRegistry
    let holder: SnapshotHolder

    var routes: [Route] {
        [
            Route("GET", Self.path, show),
            Route("POST", "\(Self.path)/promote") { call in try await close(call, promoting: true) },
            Route("POST", "\(Self.path)/abort") { call in try await close(call, promoting: false) },
        ]
    }

    /// The routes of policies, whose writes take `?canary=` as well.
    func wrapping(_ routes: [Route]) -> [Route] {
        routes.map { route in
            guard route.method != "GET" else { return route }
            return Route(route.method, route.template, access: route.access, body: route.body) { call in
                guard let text = call.query["canary"] else { return try await route.handler(call) }
                return try await open(call, share: try Self.share(text))
            }
        }
    }

    /// `10%`, `0.5%`: more than nothing, at most all.
    ///
    /// - Returns: hundredths of a percent.
    static func share(_ text: String) throws(Problem) -> Int64 {
        let problem = Problem.badParameter("canary", "must be a percentage from 0.01% to 100%, such as 10%")
        guard text.utf8.last == UInt8(ascii: "%") else { throw problem }
        let parts = text.utf8.dropLast().split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count),
            parts.allSatisfy({ $0.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } }),
            (1...3).contains(parts[0].count), parts.count == 1 || (1...2).contains(parts[1].count)
        else { throw problem }
        let fraction = parts.count == 1 ? "" : String(decoding: parts[1], as: UTF8.self)
        let padded = fraction + String(repeating: "0", count: 2 - fraction.utf8.count)
        guard let whole = Int64(String(decoding: parts[0], as: UTF8.self)), let rest = Int64(padded) else {
            throw problem
        }
        let share = whole * 100 + rest
        guard (1...Canary.wholeShare).contains(share) else { throw problem }
        return share
    }

    // MARK: Opening

    private func open(_ call: Call, share: Int64) async throws -> Answer {
        try call.query.allowOnly(AppliedWait.parameters.union(["canary"]))
        let body = call.method == "DELETE" ? [] : try call.object()
        let id = hex(SecureRandom.bytes(16))
        // Nodes of every control plane, as the others told; one that cannot be asked is no reason to wait.
        let live = Set(nodes.live(at: Timestamp.now).map(\.nodeID))
        let threshold = Canary.threshold(share: share, id: id, liveNodes: Array(live))
        return try await store.change(call) { change in
            guard try await Canary.find(in: change.session) == nil else { throw Problem.canaryOpen }
            let (stable, draft, action) = try await prepare(call, body, change)
            try await Canary.insert(
                draft,
                of: stable.id,
                action,
                id: id,
                share: share,
                threshold: threshold,
                actor: call.actor,
                change: change
            )
            guard let canary = try await Canary.find(in: change.session) else { throw Problem.internalFailure }
            var answer: Answer
            switch action {
            case .create: answer = canary.policy.shown(status: 201, location: "/v1/policies/\(stable.id)")
            case .update: answer = canary.policy.shown()
            case .delete: answer = .noContent
            }
            answer.headers[Self.header] = id
            return Outcome(
                answer: answer,
                action: "canary",
                kind: PolicyRow.kind,
                id: stable.id,
                before: action == .create ? nil : stable.json,
                after: action == .delete ? nil : canary.policy.json
            )
        }
    }

    /// The policy's row, which the nodes outside keep, and what it is to be for those inside.
    private func prepare(
        _ call: Call,
        _ body: [JSON.Member],
        _ change: Change
    ) async throws -> (PolicyRow, PolicyRow.Draft, Canary.Action) {
        if call.method == "POST" {
            let draft = try PolicyRow.draft(body, current: nil, store: store)
            let id = ID.make(PolicyRow.idPrefix)
            // There, so that its name is taken and it can be read; disabled, so that nobody else enforces it.
            try await PolicyRow.insert(draft.enabled(false), id: id, change: change, store: store)
            return (try await PolicyRow.find(id, in: change.session), draft, .create)
        }
        let current = try await PolicyRow.find(call.parameter("id"), in: change.session)
        try current.requireMatch(call)
        guard call.method != "DELETE" else { return (current, current.draft, .delete) }
        var members = body
        if call.method == "PATCH", case .object(let merged) = current.json.replacingMembers(from: body) {
            members = merged
        }
        let draft = try PolicyRow.draft(members, current: current, store: store)
        if let name = draft.name, !name.utf8.elementsEqual(current.name.utf8) {
            let taken = try await change.session.query("SELECT 1 FROM policies WHERE name = $1", [.text(name)])
            guard taken.isEmpty else { throw Problem.nameTaken }
        }
        return (current, draft, .update)
    }

    // MARK: Looking and closing

    private func show(_ call: Call) async throws -> Answer {
        try call.query.allowOnly([])
        guard let canary = try await Canary.find(in: store.pool) else { throw Problem.notFound }
        return .json(json(canary))
    }

    private func json(_ canary: Canary) -> JSON {
        let now = Timestamp.now
        let chosen = nodes.all(at: now).filter { node in
            node.isLive && SnapshotCanary.rank(of: node.report.nodeID, id: canary.id) <= canary.threshold
        }
        return [
            "id": .string(canary.id), "version": .integer(canary.version),
            "share": .string(Self.text(share: canary.share)), "action": .string(canary.action.rawValue),
            "policy": canary.policy.json, "opened_at": .string(Timestamp.text(canary.openedAt)),
            "opened_by": .string(canary.actor),
            "nodes": .array(
                chosen.map { node in
                    [
                        "id": .string(node.report.nodeID), "boot_id": .string(node.report.bootID),
                        "applied": .bool(node.report.canary == canary.id), "version": .integer(node.report.version),
                        "status": .string(node.report.status.rawValue), "reason": .optional(node.report.reason),
                    ]
                }
            ),
        ]
    }

    private static func text(share: Int64) -> String {
        let (whole, rest) = share.quotientAndRemainder(dividingBy: 100)
        guard rest > 0 else { return "\(whole)%" }
        let digits = rest < 10 ? "0\(rest)" : rest % 10 == 0 ? "\(rest / 10)" : "\(rest)"
        return "\(whole).\(digits)%"
    }

    private func close(_ call: Call, promoting: Bool) async throws -> Answer {
        try call.query.allowOnly(AppliedWait.parameters)
        return try await store.change(call) { change in
            guard let canary = try await Canary.find(in: change.session) else { throw Problem.notFound }
            let stable = try await PolicyRow.find(canary.policy.id, in: change.session)
            // The audience is told while the row is there; the nodes it names are those that had it.
            var shown = json(canary)
            if case .object(let members) = shown {
                let outcome = JSON.Member(name: "outcome", value: .string(promoting ? "promoted" : "aborted"))
                shown = .object(members + [outcome])
            }
            _ = try await change.session.execute("DELETE FROM canary", [])
            if promoting ? canary.action == .delete : canary.action == .create {
                _ = try await change.session.execute("DELETE FROM policies WHERE id = $1", [.text(stable.id)])
            } else if promoting {
                try await PolicyRow.update(stable, to: canary.policy.draft, change: change, store: store)
            }
            return Outcome(
                answer: .json(shown),
                action: promoting ? "promote" : "abort",
                kind: PolicyRow.kind,
                id: stable.id,
                before: promoting ? stable.json : canary.policy.json,
                after: promoting
                    ? (canary.action == .delete ? nil : canary.policy.json)
                    : (canary.action == .create ? nil : stable.json)
            )
        }
    }
}

extension PolicyRow {
    /// What would make a row like this one.
    fileprivate var draft: Draft {
        Draft(
            name: name,
            kind: policyKind,
            config: config,
            scope: scope,
            mode: mode,
            onError: onError,
            priority: priority,
            isEnabled: isEnabled
        )
    }
}

extension PolicyRow.Draft {
    fileprivate func enabled(_ isEnabled: Bool) -> PolicyRow.Draft {
        PolicyRow.Draft(
            name: name,
            kind: kind,
            config: config,
            scope: scope,
            mode: mode,
            onError: onError,
            priority: priority,
            isEnabled: isEnabled
        )
    }
}
