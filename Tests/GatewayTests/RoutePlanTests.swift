// The pure parts of trying again: which route, how often, how soon.

import Breaker
import LLMWire
import Reactor
import Snapshot
import Telemetry
import Testing

@testable import Gateway

@Suite struct `A route plan` {
    private func model(_ weights: [UInt32], providers: [Int]? = nil) throws -> EnforcedModel {
        let records = (0..<weights.count).map {
            ProviderRecord(id: "prv_\($0)", name: "p\($0)", kind: .openAI, baseURL: "http://x")
        }
        let routes = weights.enumerated().map { place, weight in
            RouteRecord(
                providerID: "prv_\(providers?[place] ?? place)",
                upstreamModel: "u\(place)",
                weight: weight
            )
        }
        let snapshot = try EnforcedSnapshot(
            version: 1,
            lineage: String(repeating: "0", count: 32),
            createdAt: 0,
            content: SnapshotContent(
                providers: records,
                models: [
                    // Another model before it, so that a route's index is not its place.
                    ModelRecord(name: "a", routes: [RouteRecord(providerID: "prv_0", upstreamModel: "x")]),
                    ModelRecord(name: "m", routes: routes),
                ]
            )
        )
        return try #require(snapshot.model(named: Array("m".utf8)))
    }

    @Test func `draws by weight and never a fallback while others are left`() throws {
        let plan = RoutePlan(try model([3, 0, 1]))
        var generator = SystemRandomNumberGenerator()
        var counts: [String: Int] = [:]
        for _ in 0..<4_000 { counts[try #require(plan.draw(using: &generator)).upstreamModelText, default: 0] += 1 }
        #expect(counts["u1"] == nil)
        // Three of four, seven standard deviations wide.
        #expect((2_800...3_200).contains(counts["u0"] ?? 0), "\(counts)")
        #expect((counts["u0"] ?? 0) + (counts["u2"] ?? 0) == 4_000)
    }

    @Test func `ends with the fallbacks, in their order`() throws {
        var plan = RoutePlan(try model([0, 2, 0, 5]))
        var generator = SystemRandomNumberGenerator()
        var order: [String] = []
        while let route = plan.draw(using: &generator) {
            order.append(route.upstreamModelText)
            plan.ruleOut(route)
        }
        #expect(Set(order.prefix(2)) == ["u1", "u3"])
        #expect(order.dropFirst(2) == ["u0", "u2"])
    }

    @Test func `rules out all of a provider's routes at once`() throws {
        var plan = RoutePlan(try model([1, 1, 0, 1], providers: [0, 1, 0, 0]))
        let first = try #require(plan.model.routes.first)
        plan.ruleOut(first.provider)
        var generator = SystemRandomNumberGenerator()
        #expect(plan.draw(using: &generator)?.upstreamModelText == "u1")
        plan.ruleOut(try #require(plan.draw(using: &generator)))
        #expect(plan.draw(using: &generator) == nil)
    }

    @Test func `holds as many routes as a model may have`() throws {
        let most = SnapshotBounds.maxRoutes
        var plan = RoutePlan(try model([UInt32](repeating: 1, count: most)))
        var generator = SystemRandomNumberGenerator()
        var seen: Set<String> = []
        while let route = plan.draw(using: &generator) {
            #expect(seen.insert(route.upstreamModelText).inserted)
            plan.ruleOut(route)
        }
        #expect(seen.count == most)
    }
}

@Suite struct `A retry budget` {
    private let start = MonotonicTime(nanoseconds: 1_000_000_000_000)

    private func spend(_ budget: inout RetryBudget, after duration: Duration = .zero) -> Int {
        var count = 0
        while budget.spend(now: start + duration) { count += 1 }
        return count
    }

    @Test func `is a few at first and a tenth of what is sent`() {
        var budget = RetryBudget()
        #expect(spend(&budget) == 10)
        for _ in 0..<205 { budget.earn() }
        #expect(spend(&budget) == 20)
    }

    @Test func `is bounded however much is sent`() {
        var budget = RetryBudget()
        for _ in 0..<100_000 { budget.earn() }
        #expect((99...100).contains(spend(&budget)))
    }

    @Test func `comes back by one a second up to its minimum where nothing is sent`() {
        var budget = RetryBudget()
        #expect(spend(&budget) == 10)
        #expect(spend(&budget, after: .milliseconds(3_500)) == 3)
        #expect(spend(&budget, after: .seconds(3_600)) == 10)
    }
}

@Suite struct `A transfer's failure` {
    private static func failure(_ reason: TransferFailure.Reason, sent: Bool) -> TransferFailure {
        TransferFailure(reason: reason, sentRequest: sent, receivedBytes: false)
    }

    @Test(arguments: [
        (TransferFailure.Reason.connect, false, AttemptFailure.Recourse.anyRoute), (.reset, false, .anyRoute),
        (.reset, true, .otherProvider), (.dns, false, .otherProvider), (.tls, false, .otherProvider),
        (.connectTimeout, false, .otherProvider), (.firstByteTimeout, true, .otherProvider),
        (.badFraming, true, .otherProvider), (.truncated, true, .otherProvider),
    ])
    func `is repeated at the same provider only when nothing was sent`(
        reason: TransferFailure.Reason,
        sent: Bool,
        recourse: AttemptFailure.Recourse
    ) {
        #expect(AttemptFailure(Self.failure(reason, sent: sent))?.recourse == recourse)
        #expect(AttemptFailure.tellsAgainst(Self.failure(reason, sent: sent)))
    }

    @Test(arguments: [TransferFailure.Reason.invalidRequest, .tooManyTransfers, .shutDown, .other(code: 1)])
    func `of our own making is no provider's`(reason: TransferFailure.Reason) {
        #expect(AttemptFailure(Self.failure(reason, sent: false)) == nil)
        #expect(!AttemptFailure.tellsAgainst(Self.failure(reason, sent: false)))
    }
}

@Suite struct `A provider's health` {
    @Test func `is forgotten when no route leads there any more`() throws {
        func providers(_ routed: [String]) throws -> (all: [EnforcedProvider], used: Set<Int>) {
            let snapshot = try EnforcedSnapshot(
                version: 1,
                lineage: String(repeating: "0", count: 32),
                createdAt: 0,
                content: SnapshotContent(
                    providers: ["a", "b"].map { ProviderRecord(id: $0, name: $0, kind: .openAI, baseURL: "http://x") },
                    models: [
                        ModelRecord(name: "m", routes: routed.map { RouteRecord(providerID: $0, upstreamModel: "u") })
                    ]
                )
            )
            return (snapshot.providers, Set(snapshot.models.flatMap(\.routes).map(\.provider.index)))
        }
        let board = BreakerBoard()
        let healths = ProviderHealths(board: board, metrics: MetricRegistry())
        let both = try providers(["a", "b"])
        for health in healths.healths(of: both.all, used: both.used) {
            for _ in 0..<10 {
                guard case .admitted(let admission) = health.ask(now: .now) else { break }
                health.failed(admission, now: .now, reason: "reset")
            }
        }
        #expect(board.all.map(\.isClosed) == [false, false])
        let one = try providers(["b"])
        _ = healths.healths(of: one.all, used: one.used)
        #expect(board.all.map(\.dependency) == ["provider:a", "provider:b"])
        #expect(board.all.map(\.isClosed) == [true, false], "a is taken out, and pages nobody")
        _ = healths.healths(of: [], used: [])
        #expect(board.all.map(\.isClosed) == [true, true], "b is gone altogether")
    }
}
