// One libcurl multi handle: the connections of one isolation value, driven by epoll through the socket API.
// (curl_multi_poll looks at every connection at every wake; this costs only what happens.)

private import CCurl

/// Connections that may be shared, and the transfers on them.
///
/// Confined to its client's Reactor.
@safe final class ConnectionPool {
    private let pointer: UnsafeMutableRawPointer
    private unowned let engine: TransferEngine
    private let isMultiplexed: Bool
    private var timer: ReactorTimer?
    /// When libcurl wants to be called whatever the sockets do.
    private var due: MonotonicTime?

    /// Transfers in it now.
    private(set) var activeCount = 0
    /// When the last transfer left.
    private(set) var lastUse: MonotonicTime
    /// Whether the client has it on its list for the end of this turn.
    var isMarked = false

    init(engine: TransferEngine, isMultiplexed: Bool) {
        guard let pointer = unsafe curl_multi_init() else { preconditionFailure("out of memory for a libcurl multi") }
        unsafe self.pointer = pointer
        self.engine = engine
        self.isMultiplexed = isMultiplexed
        lastUse = engine.reactor.now
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe require(weir_curl_multi_set_socket_callback(pointer, Self.onSocket))
        unsafe require(weir_curl_multi_set_pointer(pointer, CURLMOPT_SOCKETDATA, context))
        unsafe require(weir_curl_multi_set_timer_callback(pointer, Self.onTimer))
        unsafe require(weir_curl_multi_set_pointer(pointer, CURLMOPT_TIMERDATA, context))
        unsafe require(weir_curl_multi_set_long(pointer, CURLMOPT_MAXCONNECTS, engine.limits.maxIdleConnections))
        timer = engine.reactor.makeTimer { [unowned self] in timerFired() }
    }

    deinit { precondition(timer == nil, "a pool is closed before it is let go") }

    /// Closes every connection, once and for good; no transfer may be left.
    func close() {
        guard let timer else { return }
        precondition(activeCount == 0, "a pool is closed when its transfers have left")
        engine.reactor.cancel(timer)
        self.timer = nil
        unsafe require(curl_multi_cleanup(pointer))
    }

    func add(_ handle: EasyHandle) {
        activeCount += 1
        handle.pool = self
        unsafe require(curl_multi_add_handle(pointer, handle.pointer))
    }

    /// Takes a handle out, closing its connection unless its answer is complete; not inside a libcurl callback.
    func remove(_ handle: EasyHandle) {
        activeCount -= 1
        lastUse = engine.reactor.now
        unsafe require(curl_multi_remove_handle(pointer, handle.pointer))
    }

    func socketIsReady(_ descriptor: Int32, _ ready: Reactor.Readiness) {
        let events =
            (ready.contains(.read) ? CURL_CSELECT_IN : 0) | (ready.contains(.write) ? CURL_CSELECT_OUT : 0)
        act(descriptor, events)
    }

    /// Runs what is due and reports the transfers that ended.
    func drive() {
        if let due, due <= .now {
            self.due = nil
            act(CURL_SOCKET_BAD, 0)
        }
        var waiting: Int32 = 0
        while let message = unsafe curl_multi_info_read(pointer, &waiting) {
            guard unsafe message.pointee.msg == CURLMSG_DONE else { continue }
            let code = unsafe message.pointee.data.result
            var context: UnsafeMutableRawPointer?
            unsafe weir_curl_get_pointer(message.pointee.easy_handle, CURLINFO_PRIVATE, &context)
            guard let handle = unsafe EasyHandle.from(context) else { continue }
            engine.finished(handle, handle.outcome(of: code))
        }
    }

    private func act(_ descriptor: Int32, _ events: Int32) {
        engine.mark(self)
        var running: Int32 = 0
        engine.callDepth += 1
        unsafe require(curl_multi_socket_action(pointer, descriptor, events, &running))
        engine.callDepth -= 1
    }

    private func timerFired() { engine.mark(self) }

    private func require(_ code: CURLMcode) {
        precondition(code == CURLM_OK, "libcurl's multi interface was used against its rules")
    }

    private func setTimer(milliseconds: Int) {
        guard milliseconds >= 0 else {
            due = nil  // the timer may fire for nothing once; cheaper than taking it back for every transfer
            return
        }
        guard milliseconds > 0 else {
            due = MonotonicTime(nanoseconds: 0)
            return engine.mark(self)
        }
        let due = MonotonicTime.now + .milliseconds(milliseconds)
        self.due = due
        guard let timer, !timer.isPending || timer.due > due else { return }
        engine.reactor.arm(timer, at: due)
    }

    private func socketChanged(_ descriptor: Int32, _ what: Int32, _ handle: EasyHandle?) {
        var wanted: Reactor.Readiness = []
        if what == CURL_POLL_IN || what == CURL_POLL_INOUT { wanted.insert(.read) }
        if what == CURL_POLL_OUT || what == CURL_POLL_INOUT { wanted.insert(.write) }
        // Kept is the socket of a connection that goes idle after a whole answer. An idle HTTP/2 connection gets
        // pings and settings, which libcurl reads when it next uses it.
        let keepsWatching = !isMultiplexed && handle?.hasAnswer == true
        engine.sockets.update(descriptor, wanted, self, keepsWatching: keepsWatching)
    }

    private static let onTimer: curl_multi_timer_callback = { _, milliseconds, context in
        guard let context = unsafe context else { return -1 }
        unsafe Unmanaged<ConnectionPool>.fromOpaque(context).takeUnretainedValue().setTimer(milliseconds: milliseconds)
        return 0
    }

    private static let onSocket: curl_socket_callback = { easy, descriptor, what, context, _ in
        guard let context = unsafe context else { return -1 }
        var handle: EasyHandle?
        if what == CURL_POLL_REMOVE {
            var context: UnsafeMutableRawPointer?
            unsafe weir_curl_get_pointer(easy, CURLINFO_PRIVATE, &context)
            handle = unsafe EasyHandle.from(context)
        }
        unsafe Unmanaged<ConnectionPool>.fromOpaque(context).takeUnretainedValue()
            .socketChanged(descriptor, what, handle)
        return 0
    }
}
