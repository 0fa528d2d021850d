// libcurl's multi interface on our epoll loop.
//
// Nothing here happens inside the caller's call. start, cancel and resume note what is wanted; the end of the turn
// hands it to libcurl, all requests of the turn at once. So a delegate may call anything from anywhere, although
// libcurl forbids most of it inside its callbacks.

/// The transfers, handles and connections of one ``HTTPClient``.
///
/// Confined to its Reactor. Handles and pools know it `unowned`, so it is shut down before it is let go.
final class TransferEngine: ReactorResident {
    private struct Isolation: Hashable {
        let value: [UInt8]
        let http2: Bool
    }

    /// libcurl looks for an idle connection along a list of all of a host's, so one list is kept short.
    private static let transfersPerPool = 256
    private static let idleHandles = 256
    private static let roundsPerTurn = 16

    let reactor: Reactor
    let limits: HTTPClientLimits
    let addressGuard: AddressGuard
    let sockets: SocketTable
    /// How many calls into libcurl are on the stack; handles leave their pool only at 0.
    var callDepth = 0

    private var pools: [Isolation: [ConnectionPool]] = [:]
    private var marked: [ConnectionPool] = []
    private var queued: [Transfer] = []
    private var leaving: [EasyHandle] = []
    private var flowing: [Transfer] = []
    private var idle: [EasyHandle] = []
    private var inUse: [ObjectIdentifier: EasyHandle] = [:]
    private var isShutDown = false

    /// Transfers that are queued or in flight.
    private(set) var activeCount = 0

    init(reactor: Reactor, limits: HTTPClientLimits) {
        reactor.preconditionOnReactor()
        self.reactor = reactor
        self.limits = limits
        addressGuard = AddressGuard(allowsPrivate: limits.allowsPrivateAddresses)
        sockets = SocketTable(reactor: reactor)
        reactor.add(self)
    }

    func start(_ request: HTTPClientRequest, delegate: any TransferDelegate) -> Transfer {
        reactor.preconditionOnReactor()
        let transfer = Transfer(request, delegate: delegate, engine: self)
        activeCount += 1
        guard !isShutDown else {
            fail(transfer, .shutDown, "")
            return transfer
        }
        queued.append(transfer)
        reactor.requestTurn()
        return transfer
    }

    /// Fails every transfer and closes every connection; a no-op the second time.
    func shutDown() {
        guard !isShutDown else { return }
        reactor.preconditionOnReactor()
        precondition(callDepth == 0, "shut down from inside a delegate's call")
        isShutDown = true
        if !reactor.hasEnded { reactor.remove(self) }
        failQueued()
        for handle in Array(inUse.values) {
            let failure = handle.failure(.shutDown)
            retire(handle)?.end(.failed(failure))
        }
        leaving = []
        flowing = []
        marked = []
        for pool in pools.values.joined() { pool.close() }
        pools = [:]
        for handle in idle { handle.retire() }
        idle = []
        failQueued()
    }

    private func failQueued() {
        let waiting = queued
        queued = []
        for transfer in waiting where !transfer.isEnded { fail(transfer, .shutDown, "") }
    }

    // MARK: Asked for by transfers

    func cancel(_ transfer: Transfer) {
        switch transfer.state {
        case .ended:
            return
        case .queued:
            activeCount -= 1
        case .active(let handle):
            if callDepth > 0 {
                // libcurl is on the stack: its callbacks refuse what still comes, and the handle leaves after them.
                leaving.append(handle)
                reactor.requestTurn()
                activeCount -= 1
            } else {
                _ = retire(handle)
            }
        }
        transfer.state = .ended
    }

    func release(_ transfer: Transfer) {
        flowing.append(transfer)
        reactor.requestTurn()
    }

    func fail(_ transfer: Transfer, _ handle: EasyHandle, _ failure: TransferFailure) {
        precondition(callDepth == 0, "deadlines are seen between libcurl's calls")
        _ = retire(handle)
        transfer.end(.failed(failure))
    }

    // MARK: Asked for by pools

    func mark(_ pool: ConnectionPool) {
        guard !pool.isMarked else { return }
        pool.isMarked = true
        marked.append(pool)
        reactor.requestTurn()
    }

    func finished(_ handle: EasyHandle, _ outcome: TransferOutcome) {
        retire(handle)?.end(outcome)
    }

    // MARK: The end of a turn

    func reactorEnded() { shutDown() }

    func driveTurn() {
        var rounds = 0
        while !(queued.isEmpty && leaving.isEmpty && flowing.isEmpty && marked.isEmpty) {
            guard rounds < Self.roundsPerTurn else { return reactor.requestTurn() }
            rounds += 1
            removeLeaving()
            resumeFlowing()
            beginQueued()
            driveMarked()
        }
    }

    private func removeLeaving() {
        guard !leaving.isEmpty else { return }
        let handles = leaving
        leaving.removeAll(keepingCapacity: true)
        for handle in handles where inUse[ObjectIdentifier(handle)] != nil { _ = retire(handle) }
    }

    private func resumeFlowing() {
        guard !flowing.isEmpty else { return }
        let transfers = flowing
        flowing.removeAll(keepingCapacity: true)
        for transfer in transfers where !transfer.isPaused {
            guard case .active(let handle) = transfer.state else { continue }
            if let pool = handle.pool { mark(pool) }
            callDepth += 1
            handle.letFlow()
            callDepth -= 1
        }
    }

    private func beginQueued() {
        guard !queued.isEmpty else { return }
        let transfers = queued
        queued.removeAll(keepingCapacity: true)
        for transfer in transfers {
            guard case .queued(let request) = transfer.state else { continue }
            begin(transfer, request)
        }
    }

    private func begin(_ transfer: Transfer, _ request: HTTPClientRequest) {
        guard inUse.count < limits.maxTransfers else { return fail(transfer, .tooManyTransfers, "") }
        let handle = idle.popLast() ?? EasyHandle(engine: self)
        do throws(TransferFailure) {
            try handle.begin(transfer, request)
        } catch {
            idle.append(handle)
            return fail(transfer, error.reason, error.detail)
        }
        transfer.state = .active(handle)
        inUse[ObjectIdentifier(handle)] = handle
        pool(for: request).add(handle)
    }

    private func driveMarked() {
        guard !marked.isEmpty else { return }
        let pools = marked
        marked.removeAll(keepingCapacity: true)
        for pool in pools {
            pool.isMarked = false
            pool.drive()
        }
    }

    // MARK: Handles and pools

    /// A failure of a transfer that never reached libcurl.
    private func fail(_ transfer: Transfer, _ reason: TransferFailure.Reason, _ detail: String) {
        activeCount -= 1
        transfer.end(
            .failed(TransferFailure(reason: reason, sentRequest: false, receivedBytes: false, detail: detail))
        )
    }

    /// Takes the handle out of its pool and keeps it for another transfer.
    ///
    /// - Returns: its transfer.
    private func retire(_ handle: EasyHandle) -> Transfer? {
        inUse[ObjectIdentifier(handle)] = nil
        handle.pool?.remove(handle)
        let transfer = handle.finish()
        // One that was cancelled inside a callback has been counted out already.
        if let transfer, !transfer.isEnded { activeCount -= 1 }
        if idle.count < Self.idleHandles, !isShutDown {
            idle.append(handle)
        } else {
            handle.retire()
        }
        return transfer
    }

    private func pool(for request: HTTPClientRequest) -> ConnectionPool {
        let isolation = Isolation(value: request.isolation, http2: request.http2)
        if let siblings = pools[isolation] {
            for pool in siblings where pool.activeCount < Self.transfersPerPool { return pool }
        } else if pools.count >= limits.maxIsolations {
            closeLongestUnused()
        }
        let pool = ConnectionPool(engine: self, isMultiplexed: request.http2)
        pools[isolation, default: []].append(pool)
        return pool
    }

    /// Makes room for one more isolation value; when all are in use the bound is on transfers alone.
    private func closeLongestUnused() {
        let unused = pools.filter { $0.value.allSatisfy { $0.activeCount == 0 && !$0.isMarked } }
        let oldest = unused.min { left, right in
            (left.value.map(\.lastUse).max() ?? .now) < (right.value.map(\.lastUse).max() ?? .now)
        }
        guard let oldest else { return }
        for pool in oldest.value { pool.close() }
        pools[oldest.key] = nil
    }
}
