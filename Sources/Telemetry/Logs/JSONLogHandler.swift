// The log format of all programs: one JSON object a line, so that a line is a fact a machine can filter.
// Secrets are kept out by type: a `Secrets.Redacted` value has no description but "[redacted]".

public import Logging

/// Writes log events as JSON lines.
///
///     {"time":"2026-07-31T23:59:59.007Z","level":"info","label":"weir.node","message":"swapped","version":7}
///
/// Metadata stands beside the fixed fields, flattened (`a.b`) and sorted; a metadata key that is one of the fixed
/// names gets the prefix `metadata.`. Costs an allocation or two per member; a level that is off costs nothing.
public struct JSONLogHandler: LogHandler {
    /// The bytes of one line, its newline included: `PIPE_BUF`, what a pipe takes in one piece.
    public static let maxLineBytes = 4_096
    /// The bytes of one text value before escaping; longer ones are cut and end in `…`.
    public static let maxValueBytes = 1_024

    /// The least level that is written: the label's, unless this logger was given one of its own.
    public var logLevel: Logger.Level {
        get { ownLevel ?? cell.level }
        set { ownLevel = newValue }
    }
    /// Fields of every line of this logger.
    public var metadata: Logger.Metadata = [:]
    /// Fields that the task's context adds.
    public var metadataProvider: Logger.MetadataProvider?

    private let label: String
    private let cell: LogLevels.Cell
    private var ownLevel: Logger.Level?
    private let limiter: RepeatLimiter?
    private let sink: @Sendable ([UInt8]) -> Void

    /// Makes a handler.
    ///
    /// - Parameters:
    ///   - label: the part of the system that logs, such as `weir.node`.
    ///   - level: the least level that is written; nil for what `levels` say of the label.
    ///   - levels: those of the process.
    ///   - limiter: bounds repeats of lines that are not for debugging; nil for no bound.
    ///   - sink: gets each whole line, newline included; called on the thread that logs.
    public init(
        label: String,
        level: Logger.Level? = nil,
        levels: LogLevels = .shared,
        limiter: RepeatLimiter? = nil,
        sink: @escaping @Sendable ([UInt8]) -> Void = LogOutput.writeToStandardError
    ) {
        self.label = label
        cell = levels.cell(for: label)
        ownLevel = level
        self.limiter = limiter
        self.sink = sink
    }

    /// A field of every line of this logger.
    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Writes one line.
    public func log(event: LogEvent) {
        var suppressed = 0
        // Who turned debugging on wants all of it.
        if let limiter, event.level >= .info {
            switch limiter.judge(label: label, message: event.message.description) {
            case .write(let count): suppressed = count
            case .suppress: return
            }
        }
        var line = LogLine()
        line.append("time", .string(Timestamp.now.rfc3339))
        line.append("level", .string(event.level.rawValue))
        line.append("label", .string(label))
        line.append("message", .string(event.message.description))
        var fields = metadataProvider?.get() ?? [:]
        fields.merge(metadata) { _, own in own }
        if let eventMetadata = event.metadata { fields.merge(eventMetadata) { _, latest in latest } }
        if let error = event.error { fields["error"] = .string(String(describing: error)) }
        if suppressed > 0 { fields["suppressed"] = .stringConvertible(suppressed) }
        line.append(fields: fields, prefix: "")
        sink(line.finished())
    }
}

/// One line as it grows: refuses what would pass the bound, and says so at its end.
private struct LogLine {
    private static let ending: [UInt8] = Array(#","truncated":true}"#.utf8) + [UInt8(ascii: "\n")]
    private static let maxDepth = 4
    private static let fixedNames: Set<String> = ["time", "level", "label", "message", "truncated"]

    private var bytes: [UInt8] = []
    private var names: Set<String> = []
    private var isTruncated = false

    init() { bytes.reserveCapacity(512) }

    /// Appends the members of `fields`, sorted by name.
    mutating func append(fields: Logger.Metadata, prefix: String, depth: Int = 0) {
        for (key, value) in fields.sorted(by: { $0.key < $1.key }) {
            let name = prefix.isEmpty && Self.fixedNames.contains(key) ? "metadata." + key : prefix + key
            if case .dictionary(let members) = value, depth < Self.maxDepth {
                append(fields: members, prefix: name + ".", depth: depth + 1)
            } else {
                append(name, value)
            }
        }
    }

    /// Appends one member unless the line is full or has one of that name.
    mutating func append(_ name: String, _ value: Logger.Metadata.Value) {
        guard names.insert(name).inserted else { return }
        var member: [UInt8] = []
        JSONText.append(name, to: &member, maxBytes: 128)
        member.append(UInt8(ascii: ":"))
        Self.append(value, to: &member)
        guard bytes.count + member.count + 1 + Self.ending.count <= JSONLogHandler.maxLineBytes else {
            isTruncated = true
            return
        }
        bytes.append(bytes.isEmpty ? UInt8(ascii: "{") : UInt8(ascii: ","))
        bytes.append(contentsOf: member)
    }

    func finished() -> [UInt8] {
        bytes + (isTruncated ? Self.ending : [UInt8(ascii: "}"), UInt8(ascii: "\n")])
    }

    private static func append(_ value: Logger.Metadata.Value, to bytes: inout [UInt8]) {
        switch value {
        case .string(let text):
            JSONText.append(text, to: &bytes, maxBytes: JSONLogHandler.maxValueBytes)
        case .stringConvertible(let value):
            switch value {
            case let number as any FixedWidthInteger: bytes.append(contentsOf: number.description.utf8)
            case let number as Double where number.isFinite: bytes.append(contentsOf: number.description.utf8)
            case let flag as Bool: bytes.append(contentsOf: flag.description.utf8)
            default: JSONText.append(value.description, to: &bytes, maxBytes: JSONLogHandler.maxValueBytes)
            }
        case .array, .dictionary:
            // Rare in our own lines: their description, bounded like any text.
            JSONText.append(value.description, to: &bytes, maxBytes: JSONLogHandler.maxValueBytes)
        }
    }
}
