// Which lines are written, changeable while the process runs: an operator who looks into something must not have to
// restart what misbehaves. Asking for a level costs one load; changing it is rare.

public import Logging
private import Synchronization

/// What an operator says of levels, for a while or for good.
public struct LogLevelSetting: Sendable, Equatable {
    /// The most labels that one setting names.
    public static let maxLabels = 32
    /// The longest label, in bytes.
    public static let maxLabelBytes = 64

    /// The level of labels that are not named; nil for what the process was started with.
    public var standard: Logger.Level?
    /// Levels by the beginning of a label; of several that fit, the longest counts.
    public var levels: [String: Logger.Level]

    /// Makes a setting.
    public init(standard: Logger.Level? = nil, levels: [String: Logger.Level] = [:]) {
        self.standard = standard
        self.levels = levels
    }

    /// Reads what ``text`` wrote; nil for anything else.
    public init?(text: some StringProtocol) {
        standard = nil
        levels = [:]
        for member in text.split(separator: ",") {
            let parts = member.split(separator: "=", omittingEmptySubsequences: false)
            guard let level = Logger.Level(rawValue: String(parts[parts.count - 1])) else { return nil }
            switch parts.count {
            case 1 where standard == nil: standard = level
            case 2 where Self.isLabel(parts[0]) && levels[String(parts[0])] == nil: levels[String(parts[0])] = level
            default: return nil
            }
        }
        guard levels.count <= Self.maxLabels else { return nil }
    }

    /// `debug,weir.access=trace`: what nodes are told; the same for the same setting.
    public var text: String {
        let named = levels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        return ((standard.map { ["\($0)"] } ?? []) + named).joined(separator: ",")
    }

    /// Whether a text may be the beginning of a label: `weir.access`, `weir-gateway`.
    public static func isLabel(_ text: some StringProtocol) -> Bool {
        guard (1...maxLabelBytes).contains(text.utf8.count) else { return false }
        return text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."),
                UInt8(ascii: "-"), UInt8(ascii: "_"):
                true
            default: false
            }
        }
    }

    func level(of label: String, base: Logger.Level) -> Logger.Level {
        let named = levels.filter { label.hasPrefix($0.key) }.max { $0.key.utf8.count < $1.key.utf8.count }
        return named?.value ?? standard ?? base
    }
}

/// The levels of a process's loggers.
public final class LogLevels: Sendable {
    /// Those of this process.
    public static let shared = LogLevels()

    /// The level of one label, as its loggers ask for it.
    final class Cell: Sendable {
        private let rank: Atomic<Int>

        fileprivate init(_ level: Logger.Level) { rank = Atomic(Self.rank(of: level)) }

        var level: Logger.Level { Logger.Level.allCases[rank.load(ordering: .relaxed)] }

        fileprivate func set(_ level: Logger.Level) { rank.store(Self.rank(of: level), ordering: .relaxed) }

        private static func rank(of level: Logger.Level) -> Int { Logger.Level.allCases.firstIndex(of: level) ?? 0 }
    }

    private struct State {
        var base = Logger.Level.info
        var setting: LogLevelSetting?
        var until: ContinuousClock.Instant?
        var cells: [String: Cell] = [:]

        func level(of label: String) -> Logger.Level { setting?.level(of: label, base: base) ?? base }

        func refresh() { for (label, cell) in cells { cell.set(level(of: label)) } }
    }

    private let state = Mutex(State())

    /// Makes levels of their own, for tests.
    public init() {}

    /// What applies where nobody has said otherwise.
    public func setBase(_ level: Logger.Level) {
        state.withLock { state in
            state.base = level
            state.refresh()
        }
    }

    /// Puts a setting in force.
    ///
    /// - Parameters:
    ///   - setting: in place of the one before; nil for what the process was started with.
    ///   - duration: how long it lasts; nil for as long as nobody says otherwise. Its end shows with ``expire(now:)``.
    /// - Returns: whether anything changed.
    @discardableResult
    public func apply(_ setting: LogLevelSetting?, for duration: Duration? = nil) -> Bool {
        state.withLock { state in
            state.until = setting == nil ? nil : duration.map { .now + $0 }
            guard state.setting != setting else { return false }
            state.setting = setting
            state.refresh()
            return true
        }
    }

    /// Ends a setting whose time is over; to be called now and then.
    public func expire(now: ContinuousClock.Instant = .now) {
        state.withLock { state in
            guard let until = state.until, until <= now else { return }
            state.until = nil
            state.setting = nil
            state.refresh()
        }
    }

    /// The setting in force; nil for what the process was started with.
    public var setting: LogLevelSetting? { state.withLock { $0.setting } }

    /// The level of a label, which changes with settings.
    func cell(for label: String) -> Cell {
        state.withLock { state in
            if let cell = state.cells[label] { return cell }
            let cell = Cell(state.level(of: label))
            state.cells[label] = cell
            return cell
        }
    }
}
