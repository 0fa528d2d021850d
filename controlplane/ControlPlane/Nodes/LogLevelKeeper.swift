// Log levels that an operator sets while everything runs: kept in PostgreSQL, so that all control planes know them, and
// told to each node with the answer to its report. Without PostgreSQL what was known last stays, until its time is over.

import Logging
import Postgres
import Synchronization
import Telemetry

/// Knows the log levels in force, and the operations on them.
final class LogLevelKeeper: Sendable {
    /// What the audit log calls it.
    static let auditKind = "log_levels"
    /// The longest time that a setting lasts: a week.
    static let maxSeconds: Int64 = 604_800
    private static let lookInterval = Duration.seconds(1)

    /// A setting and its end.
    struct Current: Equatable, Sendable {
        let setting: LogLevelSetting
        /// Milliseconds since the Unix epoch; nil for none.
        let expiresAt: Int64?

        /// nil for one without end.
        var remainingMilliseconds: Int64? { expiresAt.map { max($0 - Timestamp.now, 0) } }
    }

    private let store: Store
    private let logger: Logger
    private let known = Mutex<Current?>(nil)

    init(store: Store, logger: Logger) {
        self.store = store
        self.logger = logger
    }

    /// The setting in force; nil when nobody has set any.
    var current: Current? { known.withLock { $0 }.flatMap { $0.remainingMilliseconds == 0 ? nil : $0 } }

    /// Follows the table until cancelled.
    func run() async {
        while !Task.isCancelled {
            do {
                take(try await read(store.pool))
            } catch {
                logger.debug("log levels not read", metadata: ["reason": "\(error)"])
            }
            LogLevels.shared.expire()
            do { try await Task.sleep(for: Self.lookInterval) } catch { return }
        }
    }

    private func take(_ current: Current?) {
        known.withLock { $0 = current }
        let now = self.current
        let isChanged = LogLevels.shared.apply(
            now?.setting,
            for: now?.remainingMilliseconds.map { .milliseconds($0) }
        )
        if isChanged { logger.notice("log levels changed", metadata: ["levels": "\(now?.setting.text ?? "")"]) }
    }

    private func read(_ session: some SQLSession) async throws -> Current? {
        guard let row = try await session.query("SELECT setting, expires_at FROM log_levels", []).first else {
            return nil
        }
        guard let setting = LogLevelSetting(text: try row.string("setting")), setting != LogLevelSetting() else {
            return nil
        }
        return Current(setting: setting, expiresAt: try row.optionalMilliseconds("expires_at"))
    }

    // MARK: Operations

    var routes: [Route] {
        [
            Route("GET", "/v1/log-levels") { [self] call in
                try call.query.allowOnly([])
                return .json(Self.json(try await read(store.pool).flatMap { $0.remainingMilliseconds == 0 ? nil : $0 }))
            },
            Route("PUT", "/v1/log-levels", body: .json) { [self] call in try await set(call) },
        ]
    }

    private func set(_ call: Call) async throws -> Answer {
        try call.query.allowOnly(AppliedWait.parameters)
        var reader = ObjectReader(try call.object())
        let words = Logger.Level.allCases.map(\.rawValue)
        let standard = reader.optionalWord("default", of: words).flatMap { Logger.Level(rawValue: $0) }
        var levels: [String: Logger.Level] = [:]
        switch reader.take("levels") {
        case nil: break
        case .object(let members)? where members.count <= LogLevelSetting.maxLabels:
            for member in members {
                guard let level = member.value.stringValue.flatMap({ Logger.Level(rawValue: $0) }),
                    LogLevelSetting.isLabel(member.name)
                else {
                    reader.refuse("levels", "needs labels of a-z, 0-9, '.', '-' and '_', each with a level")
                    break
                }
                levels[member.name] = level
            }
        default: reader.refuse("levels", "must be an object of at most \(LogLevelSetting.maxLabels) labels")
        }
        let seconds = reader.optionalInteger("expires_in", in: 1...Self.maxSeconds)
        try reader.finish()
        let setting = LogLevelSetting(standard: standard, levels: levels)
        let answer = try await store.change(call) { [self] change in
            let before = try await read(change.session)
            let expiresAt = seconds.map { change.at + $0 * 1_000 }
            _ = try await change.session.execute(
                "UPDATE log_levels SET setting = $1, expires_at = $2",
                [.text(setting.text), expiresAt.map { .timestamp(milliseconds: $0) } ?? .null]
            )
            let after = Self.json(setting == LogLevelSetting() ? nil : Current(setting: setting, expiresAt: expiresAt))
            return Outcome(
                answer: .json(after),
                action: "update",
                kind: Self.auditKind,
                id: Self.auditKind,
                before: Self.json(before),
                after: after
            )
        }
        // Here at once; the others look each second.
        take(try await read(store.pool))
        return answer
    }

    private static func json(_ current: Current?) -> JSON {
        let levels = (current?.setting.levels ?? [:]).sorted { $0.key < $1.key }
        return [
            "default": .optional(current?.setting.standard?.rawValue),
            "levels": .object(levels.map { JSON.Member(name: $0.key, value: .string($0.value.rawValue)) }),
            "expires_at": .optional(current?.expiresAt.map { Timestamp.text($0) }),
        ]
    }
}
