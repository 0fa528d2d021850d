// Keeps a node from going back: each manifest was signed once, so a signature alone says nothing about its age.

/// Decides which snapshots may follow which: signed is not enough, since an old one was signed too.
struct SnapshotGate: Sendable {
    enum Verdict: Equatable {
        case take
        /// It is what is enforced.
        case same
        case refuse(SnapshotRefusal)
    }

    private static let maxRetiredLineages = 64

    private var current: SnapshotIdentity?
    private var createdAt: Int64 = 0
    private var retiredLineages: [String] = []

    /// Judges a manifest whose signature is good.
    ///
    /// Within a lineage the version only rises. Another lineage means that a database was restored: it is taken
    /// when it was made after what is enforced, and the one it replaces is never taken again.
    func judge(_ identity: SnapshotIdentity, createdAt: Int64) -> Verdict {
        guard let current else { return .take }
        if identity == current { return .same }
        if identity.lineage == current.lineage {
            guard identity.version > current.version else {
                return .refuse(
                    SnapshotRefusal(
                        .version,
                        "version \(identity.version) is older than the enforced \(current.version)"
                    )
                )
            }
            return .take
        }
        guard !retiredLineages.contains(identity.lineage) else {
            return .refuse(
                SnapshotRefusal(.lineage, "lineage \(identity.lineage) was replaced by \(current.lineage)")
            )
        }
        guard createdAt > self.createdAt else {
            return .refuse(
                SnapshotRefusal(.lineage, "lineage \(identity.lineage) was made before the enforced \(current.lineage)")
            )
        }
        return .take
    }

    /// The snapshot is enforced now.
    mutating func enforced(_ identity: SnapshotIdentity, createdAt: Int64) {
        if let current, current.lineage != identity.lineage {
            retiredLineages.append(current.lineage)
            if retiredLineages.count > Self.maxRetiredLineages { retiredLineages.removeFirst() }
        }
        current = identity
        self.createdAt = createdAt
    }
}
