// Which of a model's routes a request takes, and which it takes when that one fails.

import Snapshot

/// The routes of one model that a request may still take.
struct RoutePlan {
    let model: EnforcedModel
    /// A bit for each route by its place in the model; `SnapshotBounds.maxRoutes` of them.
    private var ruledOut: UInt64 = 0

    init(_ model: EnforcedModel) { self.model = model }

    /// Draws one of the routes that are left by their weights; when all of them are fallbacks, takes the first.
    ///
    /// - Returns: nil when none is left.
    func draw(using generator: inout SystemRandomNumberGenerator) -> EnforcedRoute? {
        let routes = model.routes
        if routes.count == 1 { return ruledOut == 0 ? routes.first : nil }
        var totalWeight = model.totalWeight
        for (place, route) in routes.enumerated() where isRuledOut(place) { totalWeight -= route.weight }
        guard totalWeight > 0 else { return firstLeft }
        var point = UInt32.random(in: 0..<totalWeight, using: &generator)
        for (place, route) in routes.enumerated() where !isRuledOut(place) {
            guard point >= route.weight else { return route }
            point -= route.weight
        }
        return firstLeft
    }

    private var firstLeft: EnforcedRoute? {
        for (place, route) in model.routes.enumerated() where !isRuledOut(place) { return route }
        return nil
    }

    private func isRuledOut(_ place: Int) -> Bool { ruledOut & (1 << UInt64(place)) != 0 }

    mutating func ruleOut(_ route: EnforcedRoute) {
        for (place, other) in model.routes.enumerated() where other.index == route.index {
            ruledOut |= 1 << UInt64(place)
        }
    }

    /// Rules out all that a provider serves.
    mutating func ruleOut(_ provider: EnforcedProvider) {
        for (place, route) in model.routes.enumerated() where route.provider.index == provider.index {
            ruledOut |= 1 << UInt64(place)
        }
    }
}
