// libcurl's sockets as epoll sees them. libcurl lets go of a connection's socket after each answer and takes it up
// again for the next request; followed to the letter that is two system calls a request, so an idle connection
// stays registered here. That also shows when its peer hangs up or speaks out of turn.

import CCurl
private import Glibc

/// The sockets of one ``HTTPClient``, by descriptor.
///
/// Confined to the client's Reactor. libcurl holds a pointer to this object while it has connections open.
@safe final class SocketTable {
    private struct Entry {
        /// Opened by us, so that `onCloseSocket` sees it closed; others (a resolver's pipe) go away unannounced.
        var isOurs = false
        var isWatched = false
        var interest: Reactor.Readiness = []
        /// What libcurl waits for; empty while the connection is idle.
        var wanted: Reactor.Readiness = []
        /// Held until the socket is closed, which ``ConnectionPool/close()`` does.
        /// (Not `unowned`: Swift 6.3 takes an entry with an empty `unowned` optional for the end of a sequence.)
        var pool: ConnectionPool?
    }

    private let reactor: Reactor
    private var entries: [Entry] = []
    /// A socket whose peer has gone: what an idle connection that must not be used again is turned into.
    private let deadEnd: Int32

    init(reactor: Reactor) {
        self.reactor = reactor
        deadEnd = Self.makeDeadEnd()
    }

    deinit { close(deadEnd) }

    /// What libcurl hands to ``onCloseSocket``.
    var context: UnsafeMutableRawPointer { unsafe Unmanaged.passUnretained(self).toOpaque() }

    private static func makeDeadEnd() -> Int32 {
        var ends: (Int32, Int32) = (-1, -1)
        let outcome = unsafe withUnsafeMutablePointer(to: &ends) { ends in
            unsafe ends.withMemoryRebound(to: Int32.self, capacity: 2) { ends in
                unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, ends)
            }
        }
        precondition(outcome == 0, "no descriptor left at start-up")
        close(ends.1)
        return ends.0
    }

    /// A connection's socket was made.
    func opened(_ descriptor: Int32) {
        reserve(descriptor)
        stopWatching(descriptor)  // a socket of that number may have been closed without a word
        entries[Int(descriptor)] = Entry(isOurs: true)
    }

    /// libcurl waits for something else on the socket, or for nothing.
    ///
    /// `keepsWatching`: whether an idle socket may stay registered; not when it has bytes that nobody wants yet.
    func update(_ descriptor: Int32, _ wanted: Reactor.Readiness, _ pool: ConnectionPool, keepsWatching: Bool) {
        reserve(descriptor)
        let index = Int(descriptor)
        entries[index].pool = pool
        entries[index].wanted = wanted
        let entry = entries[index]
        guard wanted.isEmpty else { return setInterest(descriptor, wanted) }
        guard !(keepsWatching && entry.isOurs && entry.isWatched && entry.interest == .read) else { return }
        stopWatching(descriptor)
        if !entry.isOurs { entries[index].pool = nil }
    }

    private func setInterest(_ descriptor: Int32, _ interest: Reactor.Readiness) {
        let index = Int(descriptor)
        if !entries[index].isWatched {
            entries[index].isWatched = true
            reactor.watch(descriptor, for: interest) { [unowned self] ready in isReady(descriptor, ready) }
        } else if entries[index].interest != interest {
            reactor.setInterest(descriptor, interest)
        }
        entries[index].interest = interest
    }

    private func stopWatching(_ descriptor: Int32) {
        guard entries[Int(descriptor)].isWatched else { return }
        reactor.unwatch(descriptor)
        entries[Int(descriptor)].isWatched = false
        entries[Int(descriptor)].interest = []
    }

    private func isReady(_ descriptor: Int32, _ ready: Reactor.Readiness) {
        let entry = entries[Int(descriptor)]
        if entry.wanted.isEmpty {
            bury(descriptor)
        } else {
            entry.pool?.socketIsReady(descriptor, ready)
        }
    }

    /// The peer of an idle connection hung up or sent what nobody asked for: the connection is closed now.
    ///
    /// libcurl has no call for it and would look only when it next uses the connection, where unasked bytes could
    /// pass for the next answer. So its descriptor is made to name a socket at its end, which it finds dead.
    private func bury(_ descriptor: Int32) {
        stopWatching(descriptor)
        let outcome = dup2(deadEnd, descriptor)
        precondition(outcome == descriptor, "both descriptors are open")
    }

    private func closing(_ descriptor: Int32) -> Int32 {
        stopWatching(descriptor)
        entries[Int(descriptor)] = Entry()
        return close(descriptor)
    }

    private func reserve(_ descriptor: Int32) {
        let missing = Int(descriptor) + 1 - entries.count
        if missing > 0 { entries.append(contentsOf: repeatElement(Entry(), count: max(missing, 64))) }
    }

    /// libcurl closes a socket; the table lives as long as any connection does.
    static let onCloseSocket: curl_closesocket_callback = { context, descriptor in
        guard let context = unsafe context else { return close(descriptor) }
        return unsafe Unmanaged<SocketTable>.fromOpaque(context).takeUnretainedValue().closing(descriptor)
    }
}
