// The parts of the agent, put together on its thread; the agent itself only sends them messages.

import Breaker
import Logging
import Policy
import Reactor
import Snapshot

/// What lives on the agent's Reactor.
final class NodeCore {
    private let control: ControlClient
    private let taker: SnapshotTaker
    private let follower: SnapshotFollower
    private let reporter: NodeReporter
    private let shipper: UsageShipper

    init(
        reactor: Reactor,
        configuration: NodeConfiguration,
        registry: PolicyRegistry,
        breakers: BreakerBoard,
        shared: NodeShared,
        totals: @escaping @Sendable () -> RequestTotals,
        store: LastKnownGoodKeeper,
        logger: Logger,
        onHeldKeys: @escaping @Sendable (Set<KeyID>) -> Void,
        onSnapshot: @escaping @Sendable (EnforcedSnapshot) -> Void
    ) {
        control = ControlClient(reactor: reactor, configuration: configuration, breakers: breakers)
        reporter = NodeReporter(
            reactor: reactor,
            configuration: configuration,
            control: control,
            shared: shared,
            breakers: breakers,
            totals: totals,
            logger: logger
        )
        shipper = UsageShipper(
            reactor: reactor,
            configuration: configuration,
            control: control,
            shared: shared,
            logger: logger
        )
        taker = SnapshotTaker(
            configuration: configuration,
            registry: registry,
            control: control,
            shared: shared,
            store: store,
            logger: logger,
            onHeldKeys: onHeldKeys,
            onSnapshot: onSnapshot
        )
        follower = SnapshotFollower(
            reactor: reactor,
            configuration: configuration,
            control: control,
            shared: shared,
            taker: taker,
            logger: logger
        )
        reporter.onPlace = { store.save($0) }
        taker.onChange = { [weak follower, weak reporter] enforced in
            if let enforced { follower?.enforced(enforced) }
            reporter?.reportNow()
        }
        reporter.onConfirmedLineage = { [weak taker] lineage in taker?.confirmLineage(lineage) }
    }

    func receive(_ message: NodeMessage) {
        switch message {
        case .start:
            follower.start()
            reporter.start()
            shipper.start()
        case .shipUsage:
            shipper.wake()
        case .drain:
            shipper.drain()
        case .stop:
            follower.stop()
            reporter.stop()
            shipper.stop()
            control.shutDown()
        }
    }
}

/// What other threads ask of the agent's.
enum NodeMessage: Sendable {
    case start
    /// A batch of usage is full.
    case shipUsage
    /// Ship all there is; the node is leaving.
    case drain
    case stop
}
