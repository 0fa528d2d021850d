// What the database's refusals mean to an admin; the texts are ours, the database's go to the log.

import Postgres

extension Problem {
    /// A lost, full, read-only or overloaded database is 503 and changes nothing; a constraint names its own conflict.
    init(_ error: PostgresError) {
        switch error.kind {
        case .uniqueViolation: self = Self.unique(error.constraint)
        case .foreignKeyViolation where error.constraint == "routes_provider_fkey":
            self = .conflict("A model still has a route to this provider; change the model first.")
        case .cancelled: self = .unavailable
        case .notNullViolation, .checkViolation, .decoding: self = .internalFailure
        case .foreignKeyViolation:
            self = .conflict("Something else still refers to this, or what this refers to is gone.")
        case .connection, .timeout, .poolExhausted, .readOnly, .diskFull, .serialization, .tooManyConnections:
            self = .unavailable
        case .other:
            // 55P03 lock_not_available, 57xxx operator intervention, 58xxx system errors: the database's trouble.
            let state = error.sqlState ?? ""
            let isTrouble = state == "55P03" || state.hasPrefix("57") || state.hasPrefix("58") || state.hasPrefix("53")
            self = isTrouble ? .unavailable : .internalFailure
        }
    }

    private static func unique(_ constraint: String?) -> Problem {
        switch constraint {
        case "apps_name_key", "policies_name_key", "providers_name_key", "models_name_key": .nameTaken
        default: .conflict("Something with the same identity exists.")
        }
    }
}
