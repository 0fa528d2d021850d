// A snapshot for people and for `jq`: what `weir snapshot inspect` prints. No secret is shown, neither a key's digest
// nor a sealed credential nor what a URL may carry before its host, and no name can steer the terminal.

import Policy

/// Says what is in a snapshot, line by line.
public enum SnapshotDescription {
    /// What was published: manifest and records, in the order of their ids.
    public static func text(manifest: Manifest, content: SnapshotContent) -> [String] {
        lines(manifest, content).map(\.text)
    }

    /// The same as one JSON object a line, each with a `record` that says what it is.
    public static func jsonLines(manifest: Manifest, content: SnapshotContent) -> [String] {
        lines(manifest, content).map(\.json)
    }

    /// What is enforced: every key with the rules that its requests meet, in order.
    public static func text(_ snapshot: EnforcedSnapshot) -> [String] {
        lines(snapshot).map(\.text)
    }

    /// The same as one JSON object a line, each with a `record` that says what it is.
    public static func jsonLines(_ snapshot: EnforcedSnapshot) -> [String] {
        lines(snapshot).map(\.json)
    }

    private static func lines(_ manifest: Manifest, _ content: SnapshotContent) -> [DescriptionLine] {
        let content = content.canonical()
        var lines = [
            DescriptionLine(
                "snapshot",
                [
                    ("version", .number(Int64(clamping: manifest.version))),
                    ("lineage", .text(manifest.lineage)),
                    ("created_at", .time(manifest.createdAt)),
                    ("format", .number(Int64(manifest.format))),
                    ("apps", .number(Int64(manifest.apps.records))),
                    ("policies", .number(Int64(manifest.policies.records))),
                    (
                        "bytes",
                        .number(
                            Int64(manifest.routes.size + manifest.apps.recordBytes + manifest.policies.recordBytes)
                        )
                    ),
                ]
            )
        ]
        lines += content.providers.map { provider in
            DescriptionLine(
                "provider",
                [
                    ("id", .text(provider.id)),
                    ("name", .text(provider.name)),
                    ("kind", .text("\(provider.kind)")),
                    ("base_url", .text(withoutUserInfo(provider.baseURL))),
                    ("has_credential", .flag(provider.sealedCredential != nil)),
                    ("injects_stream_usage", .flag(provider.injectsStreamUsage)),
                ]
            )
        }
        lines += content.models.map { model in
            line(ofModel: model.name, routes: model.routes.map { ($0.providerID, $0.upstreamModel, $0.weight) })
        }
        lines += content.policies.map(line(ofPolicy:))
        for app in content.apps {
            lines.append(
                DescriptionLine(
                    "app",
                    [
                        ("id", .text(app.id)),
                        ("name", .text(app.name)),
                        ("organisation", .text(app.organisation)),
                        ("tier", .text(app.tier)),
                        ("tags", .list(app.tags)),
                        ("is_enabled", .flag(app.isEnabled)),
                    ]
                )
            )
            lines += app.keys.map { key in
                DescriptionLine(
                    "key",
                    [
                        ("id", .text(key.id.text)),
                        ("app", .text(app.id)),
                        ("name", .text(key.name)),
                        ("tags", .list(key.tags)),
                        ("created_at", .time(key.createdAt)),
                        ("expires_at", key.expiresAt.map(DescriptionValue.time) ?? .none),
                        ("is_revoked", .flag(key.isRevoked)),
                    ]
                )
            }
        }
        return lines
    }

    private static func lines(_ snapshot: EnforcedSnapshot) -> [DescriptionLine] {
        var lines = [
            DescriptionLine(
                "snapshot",
                [
                    ("version", .number(Int64(clamping: snapshot.version))),
                    ("lineage", .text(snapshot.lineage)),
                    ("created_at", .time(snapshot.createdAt)),
                    ("apps", .number(Int64(snapshot.appCount))),
                    ("keys", .number(Int64(snapshot.keyCount))),
                    ("policies", .number(Int64(snapshot.policyCount))),
                ]
            )
        ]
        lines += snapshot.models.map { model in
            line(
                ofModel: model.name,
                routes: model.routes.map { ($0.provider.id, $0.upstreamModelText, $0.weight) }
            )
        }
        lines += snapshot.sortedKeys.map { key in
            DescriptionLine(
                "key",
                [
                    ("id", .text(key.id)),
                    ("app", .text(key.app.id)),
                    ("is_app_enabled", .flag(key.app.isEnabled)),
                    ("is_revoked", .flag(key.isRevoked)),
                    ("expires_at", key.expiresAt.map(DescriptionValue.time) ?? .none),
                    ("max_body_bytes", key.maxBodyBytes.map { .number(Int64($0)) } ?? .none),
                    (
                        "rules",
                        .list(
                            key.rules.map { rule in
                                "\(rule.kind):\(String(decoding: rule.policyID, as: UTF8.self)):\(rule.mode)"
                            }
                        )
                    ),
                ]
            )
        }
        return lines
    }

    private static func line(
        ofModel name: String,
        routes: [(provider: String, upstream: String, weight: UInt32)]
    ) -> DescriptionLine {
        DescriptionLine(
            "model",
            [
                ("name", .text(name)),
                ("routes", .list(routes.map { "\($0.provider)/\($0.upstream)*\($0.weight)" })),
            ]
        )
    }

    private static func line(ofPolicy policy: PolicyRecord) -> DescriptionLine {
        let scope =
            switch policy.scope {
            case .global: "global"
            case .app(let id): "app:\(id)"
            case .key(let id): "key:\(id)"
            }
        return DescriptionLine(
            "policy",
            [
                ("id", .text(policy.id)),
                ("name", .text(policy.name)),
                ("kind", .text(policy.kind)),
                ("scope", .text(scope)),
                ("mode", .text("\(policy.mode)")),
                ("on_error", .text("\(policy.onError)")),
                ("priority", policy.priority.map { .number(Int64($0)) } ?? .none),
                ("created_at", .time(policy.createdAt)),
                ("program_bytes", .number(Int64(policy.program.count))),
            ]
        )
    }

    /// Drops what stands before an `@` in the URL's authority: it may be a password.
    private static func withoutUserInfo(_ url: String) -> String {
        let bytes = Array(url.utf8)
        let start = bytes.indices.first { bytes[$0...].starts(with: "://".utf8) }.map { $0 + 3 } ?? 0
        let end = bytes[start...].firstIndex { "/?#".utf8.contains($0) } ?? bytes.count
        guard let at = bytes[start..<end].lastIndex(of: UInt8(ascii: "@")) else { return url }
        return String(decoding: bytes[..<start] + bytes[(at + 1)...], as: UTF8.self)
    }
}

/// What a field of a line holds.
private enum DescriptionValue {
    case text(String)
    case number(Int64)
    case flag(Bool)
    case list([String])
    /// Milliseconds since the Unix epoch.
    case time(Int64)
    case none

    var json: String {
        switch self {
        case .text(let text): quoted(text)
        case .number(let number): "\(number)"
        case .flag(let flag): "\(flag)"
        case .list(let texts): "[\(texts.map { quoted($0) }.joined(separator: ","))]"
        case .time(let milliseconds): quoted(rfc3339(milliseconds))
        case .none: "null"
        }
    }

    /// As JSON where that is plainest; nil for what goes without saying.
    var text: String? {
        switch self {
        case .text(""), .list([]), .none: nil
        case .time(let milliseconds): rfc3339(milliseconds)
        case .text(let text) where text.utf8.allSatisfy(isPlain): text
        default: json
        }
    }

    /// Needs no quotes to be one word on a line.
    private func isPlain(_ byte: UInt8) -> Bool {
        byte > UInt8(ascii: " ") && byte < 0x7F && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }

    /// A JSON string; control characters, those of Unicode included, are escaped in both forms of a line.
    private func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator:
                for unit in UTF16.encode(scalar).map(Array.init) ?? [] {
                    let digits = String(unit, radix: 16)
                    quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                }
            default:
                if scalar == "\"" || scalar == "\\" { quoted += "\\" }
                quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}

/// A record and its fields.
private struct DescriptionLine {
    let record: String
    let fields: [(name: String, value: DescriptionValue)]

    init(_ record: String, _ fields: [(name: String, value: DescriptionValue)]) {
        self.record = record
        self.fields = fields
    }

    var text: String {
        ([record] + fields.compactMap { field in field.value.text.map { "\(field.name)=\($0)" } })
            .joined(separator: " ")
    }

    var json: String {
        let members = fields.map { ",\"\($0.name)\":\($0.value.json)" }
        return "{\"record\":\"\(record)\"\(members.joined())}"
    }
}

/// UTC, to the millisecond.
///
/// - Source: the calendar's arithmetic is Howard Hinnant's civil_from_days ("chrono-Compatible Low-Level Date
///   Algorithms"); outside the years 0...9999 the number itself is given, since RFC 3339 has no form for it.
private func rfc3339(_ milliseconds: Int64) -> String {
    guard milliseconds >= -62_167_219_200_000, milliseconds <= 253_402_300_799_999 else { return "\(milliseconds)" }
    let (dayFloor, millisecondOfDay) = floorDivision(milliseconds, 86_400_000)
    let (era, dayOfEra) = floorDivision(dayFloor + 719_468, 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    let second = millisecondOfDay / 1000
    let date = "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))"
    let time = "\(padded(second / 3600, 2)):\(padded(second / 60 % 60, 2)):\(padded(second % 60, 2))"
    return "\(date)T\(time).\(padded(millisecondOfDay % 1000, 3))Z"
}

private func floorDivision(_ value: Int64, _ divisor: Int64) -> (quotient: Int64, remainder: Int64) {
    let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
}

private func padded(_ number: Int64, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
}
