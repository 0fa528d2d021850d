// Carries what belongs to a Reactor's thread through closures that other threads make.

/// A value that is touched on one Reactor's thread only, and goes away there.
final class ReactorBound<Value>: @unchecked Sendable {  // every access checks the thread
    private var value: Value?

    /// Holds nothing yet.
    init() { value = nil }

    /// The value, on its Reactor.
    func value(on reactor: Reactor) -> Value? {
        reactor.preconditionOnReactor()
        return value
    }

    /// Holds the value, until another call or the Reactor's end.
    func set(_ value: Value?, on reactor: Reactor) {
        reactor.preconditionOnReactor()
        self.value = value
    }
}
