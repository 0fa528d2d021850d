// Why a node refuses a snapshot: the text goes into the NACK, where an operator reads it.

public import Codec

/// A snapshot that is not enforced; the one before stays.
public enum SnapshotError: Error, Equatable, Sendable {
    /// A part ("manifest", a chunk's name, or "file" for a copy on disk) is not what its layout says.
    case malformed(part: String, CodecError)
    /// The manifest's format is none that this build reads.
    case unknownFormat(UInt8)
    /// The manifest was signed by another key than the one that this node trusts.
    case foreignKey
    /// The signature is not the trusted key's for these bytes.
    case badSignature
    /// Programs were compiled for an environment that this node does not have.
    case foreignEnvironment
    /// A chunk that the manifest names was not to be had.
    case missingChunk(String)
    /// A chunk's bytes are not those that the manifest names.
    case wrongDigest(String)
    /// Two records of one part have the same id.
    case duplicate(part: String, id: String)
    /// A model's route names a provider that is not in the snapshot.
    case unknownProvider(model: String, provider: String)
    /// A model without a route that could be taken.
    case noRoute(model: String)
    /// A policy is of a kind that this build does not have: enforcing the rest would not be what was asked.
    case unknownKind(policy: String, kind: String)
    /// A policy's program was refused by its kind.
    case invalidProgram(policy: String, reason: String)
}

extension SnapshotError: CustomStringConvertible {
    /// One line for a NACK or a log; never a secret.
    public var description: String {
        switch self {
        case .malformed(let part, let error): "\(part): \(error.reason.rawValue) at byte \(error.offset)"
        case .unknownFormat(let format): "manifest: format \(format) is unknown"
        case .foreignKey: "manifest: signed by another key"
        case .badSignature: "manifest: signature is wrong"
        case .foreignEnvironment: "manifest: compiled for another environment"
        case .missingChunk(let name): "\(name): chunk is missing"
        case .wrongDigest(let name): "\(name): bytes differ from their digest"
        case .duplicate(let part, let id): "\(part): \(id) is there twice"
        case .unknownProvider(let model, let provider): "model \(model): provider \(provider) is unknown"
        case .noRoute(let model): "model \(model): no route"
        case .unknownKind(let policy, let kind): "policy \(policy): kind \(kind) is unknown"
        case .invalidProgram(let policy, let reason): "policy \(policy): \(reason)"
        }
    }
}
