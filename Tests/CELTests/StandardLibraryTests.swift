// The functions that the check knows are those that programs can call.

import Testing

@testable import CEL

@Suite struct `The declared functions` {
    /// Arguments that a variadic function is tried with.
    private static let someCounts = 1...3

    @Test func `are all that can be called`() {
        for spelling in Function.all where !StandardLibrary.extremes.contains(spelling.name) {
            let overloads = (StandardLibrary.overloads[spelling.name] ?? []).filter { $0.isMember == spelling.isMember }
            let counts = Set(overloads.map(\.parameters.count))
            #expect(counts == Set(spelling.arity), "\(spelling.name)")
        }
        for name in StandardLibrary.extremes {
            for count in Self.someCounts {
                #expect(Function.spelled(name, isMember: false, count: count) != nil)
            }
        }
    }

    @Test func `can all be called, but for the lazy ones`() {
        let lazy: Set = ["or", "orValue"]
        for overload in StandardLibrary.overloads.values.joined() where !lazy.contains(overload.name) {
            let count = overload.parameters.count
            #expect(
                Function.spelled(overload.name, isMember: overload.isMember, count: count) != nil,
                "\(overload.name)"
            )
        }
    }
}
