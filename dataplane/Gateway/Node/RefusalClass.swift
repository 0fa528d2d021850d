// Why snapshots are refused, in classes few enough for a metric's label; the NACK has the whole reason.

import Snapshot

/// The class of a refusal.
enum RefusalClass: String, CaseIterable, Sendable {
    case signature
    case foreignKey = "foreign_key"
    case format, environment, lineage, version
    case missingChunk = "missing_chunk"
    case malformed, content, program, canary

    init(_ error: SnapshotError) {
        self =
            switch error {
            case .malformed: .malformed
            case .unknownFormat: .format
            case .foreignKey: .foreignKey
            case .badSignature: .signature
            case .foreignEnvironment: .environment
            case .missingChunk, .wrongDigest: .missingChunk
            case .duplicate, .unknownProvider, .noRoute: .content
            case .unknownKind, .invalidProgram: .program
            }
    }
}

/// A refusal for the NACK, the log and the metric.
struct SnapshotRefusal: Equatable, Sendable {
    let kind: RefusalClass
    let reason: String

    init(_ kind: RefusalClass, _ reason: String) {
        self.kind = kind
        self.reason = reason
    }

    init(_ error: SnapshotError) { self.init(RefusalClass(error), "\(error)") }
}
