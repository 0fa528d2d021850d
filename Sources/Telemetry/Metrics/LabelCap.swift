// Keeps what clients choose from becoming series without end: the first values get their own label, all others one.

private import Synchronization

/// Gives label values until there are enough.
public final class LabelCap: Sendable {
    /// The label of every value that came too late, or was too long.
    public static let other = "other"
    /// The longest value, in bytes, that gets a label of its own.
    public static let maxBytes = 128

    private let max: Int
    private let known = Mutex<[[UInt8]: String]>([:])

    /// Makes a cap.
    ///
    /// - Parameter max: how many values get a label of their own.
    public init(max: Int) { self.max = max }

    /// The label of a value: itself, or ``other``; what is not UTF-8 is repaired.
    ///
    /// Values are compared as bytes. Takes a lock: to be called when cells are made, not for each request.
    public func label(for value: [UInt8]) -> String {
        guard value.count <= Self.maxBytes else { return Self.other }
        return known.withLock { known in
            if let label = known[value] { return label }
            guard known.count < max else { return Self.other }
            let label = String(decoding: value, as: UTF8.self)
            known[value] = label
            return label
        }
    }
}
