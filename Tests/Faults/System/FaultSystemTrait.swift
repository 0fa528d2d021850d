// A suite's system: started before its first test, stopped after its last, and mended between them.

import Testing

/// Starts a system for a suite and stops it after the suite's last test.
struct FaultSystemTrait: SuiteTrait, TestScoping {
    let start: @Sendable () async throws -> FaultSystem

    @concurrent func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        let system = try await start()
        do {
            try await FaultSystem.$current.withValue(system) { try await function() }
        } catch {
            await system.stop()
            throw error
        }
        await system.stop()
    }
}

extension Trait where Self == FaultSystemTrait {
    /// The suite's tests run one after another against one system.
    static func faultSystem(
        gateways: Int = 2,
        controls: Int = 1,
        arguments: [String] = []
    ) -> FaultSystemTrait {
        FaultSystemTrait {
            try await FaultSystem.start(gateways: gateways, controls: controls, arguments: arguments)
        }
    }
}

/// All fault suites: one at a time, because each starts a fleet, and two cores cannot carry two.
@Suite(.serialized) enum Faults {}
