// One libcurl easy handle, reused for transfer after transfer: its pointer, its C callbacks and the memory it reads
// live here. Only what differs from the transfer before is set again, which is what makes a small one cheap.

import CCurl
private import Glibc

/// A reusable libcurl handle with its buffers and its deadline.
///
/// Confined to its client's Reactor. libcurl holds a pointer to this object from `init` to `deinit`; the handle is
/// in no multi handle when it is freed, which ``TransferEngine`` sees to.
@safe final class EasyHandle {
    /// What decides whether the settings of the transfer before still fit.
    private struct Shape: Equatable {
        let method: HTTPClientRequest.Method
        let http2: Bool
        let caFile: String?
        let clientIdentity: ClientIdentity?
    }

    private enum Phase {
        case connecting
        case waiting
        case receiving
    }

    private static let receiveBufferBytes = 16 << 10
    private static let keptBodyBytes = 64 << 10
    /// libcurl tries again on its own when a reused connection turns out dead; more than one second try is too many.
    private static let maxAttempts = 2

    let pointer: UnsafeMutableRawPointer
    private unowned let engine: TransferEngine
    private let errorText = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))
    private var headers = HeaderList()
    private var body: UnsafeMutableRawPointer?
    private var bodyCapacity = 0
    private var shape: Shape?
    private var url = ""
    /// The URL, parsed once for as long as it stays the same: a tenth of libcurl's work for a small transfer.
    private let parsedURL: OpaquePointer

    /// The transfer that uses the handle now.
    private(set) var transfer: Transfer?
    /// The connections it takes part in while it is in use.
    var pool: ConnectionPool?
    /// Whether libcurl holds the body back and waits to be told to go on.
    private(set) var isHeld = false

    private var assembler: HeadAssembler
    private var phase = Phase.connecting
    private var attempts = 0
    private var fault: TransferFailure.Reason?
    private var hasReceived = false
    private var hasRefusedAddress = false
    private var addressGuard: AddressGuard
    private var lastActivity: MonotonicTime
    private var connectDue: MonotonicTime
    private var firstByteTimeout = Duration.zero
    private var idleTimeout = Duration.zero
    private var totalDue: MonotonicTime?
    /// Left armed from one transfer to the next, so that a short one never touches the Reactor's heap.
    private var timer: ReactorTimer?

    init(engine: TransferEngine) {
        Self.initializeLibrary
        guard let pointer = unsafe curl_easy_init() else { preconditionFailure("out of memory for a libcurl handle") }
        guard let parsedURL = unsafe curl_url() else { preconditionFailure("out of memory for a URL") }
        unsafe self.pointer = pointer
        unsafe self.parsedURL = parsedURL
        self.engine = engine
        assembler = HeadAssembler(maxBytes: engine.limits.maxHeaderBytes)
        addressGuard = engine.addressGuard
        lastActivity = engine.reactor.now
        connectDue = lastActivity
        timer = engine.reactor.makeTimer { [unowned self] in checkDeadline() }
    }

    deinit {
        unsafe curl_easy_cleanup(pointer)
        unsafe curl_url_cleanup(parsedURL)
        unsafe errorText.deallocate()
        unsafe free(body)
    }

    /// Lets go of the timer, whose action knows this handle.
    func retire() {
        if let timer { engine.reactor.cancel(timer) }
        timer = nil
    }

    /// Once per process, before the first handle.
    private static let initializeLibrary: Void = {
        let code = curl_global_init(Int(CURL_GLOBAL_DEFAULT))
        precondition(code == CURLE_OK, "libcurl does not start")
    }()

    // MARK: One transfer

    /// Readies the handle for a request; it can then be added to a pool.
    ///
    /// - Throws: `invalidRequest` when the request must not be sent as it is; the handle stays usable.
    func begin(_ transfer: Transfer, _ request: HTTPClientRequest) throws(TransferFailure) {
        let shape = Shape(
            method: request.method,
            http2: request.http2,
            caFile: request.caFile,
            clientIdentity: request.clientIdentity
        )
        if shape != self.shape { configure(shape) }
        if request.url.utf8.count != url.utf8.count || request.url != url {
            try setURL(request.url)
        }
        unsafe setPointer(CURLOPT_HTTPHEADER, try headers.fill(request.headers))
        if request.method.carriesBody { copyBody(request.body) }

        self.transfer = transfer
        assembler.reset()
        phase = .connecting
        attempts = 0
        fault = nil
        isHeld = false
        hasReceived = false
        hasRefusedAddress = false
        addressGuard = AddressGuard(
            allowsPrivate: request.allowsPrivateAddresses && engine.addressGuard.allowsPrivate
        )
        let startedAt = MonotonicTime.now
        lastActivity = startedAt
        firstByteTimeout = request.firstByteTimeout
        idleTimeout = request.idleTimeout
        totalDue = request.totalTimeout.map { startedAt + $0 }
        connectDue = startedAt + request.connectTimeout
        armDeadline()
    }

    /// Detaches the transfer after the handle has left its pool.
    func finish() -> Transfer? {
        defer { transfer = nil }
        if bodyCapacity > Self.keptBodyBytes {
            unsafe free(body)
            unsafe body = nil
            bodyCapacity = 0
        }
        pool = nil
        return transfer
    }

    /// Whether the head of the answer is there and nothing of the body is held back.
    var hasAnswer: Bool { assembler.isDone && !isHeld }

    /// What libcurl's end of the transfer means; to be asked before the handle leaves its pool.
    func outcome(of code: CURLcode) -> TransferOutcome {
        if code == CURLE_OK, fault == nil, assembler.isDone { return .complete }
        return .failed(failure(reason(of: code)))
    }

    /// Whether libcurl has written any of the request.
    var hasSentRequest: Bool {
        var requestBytes = 0
        unsafe weir_curl_get_long(pointer, CURLINFO_REQUEST_SIZE, &requestBytes)
        return requestBytes > 0
    }

    /// A failure of our own making, such as a missed deadline.
    func failure(_ reason: TransferFailure.Reason) -> TransferFailure {
        TransferFailure(
            reason: reason,
            sentRequest: hasSentRequest,
            receivedBytes: hasReceived,
            detail: unsafe String(cString: errorText)
        )
    }

    /// Lets a held body flow again.
    ///
    /// Not inside a callback of libcurl; delivers what it kept before it returns.
    func letFlow() {
        guard isHeld else { return }
        isHeld = false
        lastActivity = engine.reactor.now
        armDeadline()
        // Fails only when the transfer has ended underneath, which its message will say.
        _ = unsafe curl_easy_pause(pointer, CURLPAUSE_CONT)
    }

    // MARK: Settings

    /// Sets everything from the start; each line is a promise of the contract or a lesson from an advisory.
    private func configure(_ shape: Shape) {
        unsafe curl_easy_reset(pointer)
        self.shape = shape
        url = ""
        let context = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe setPointer(CURLOPT_PRIVATE, context)
        unsafe setPointer(CURLOPT_ERRORBUFFER, errorText)

        unsafe require(weir_curl_set_bytes_callback(pointer, CURLOPT_HEADERFUNCTION, Self.onHeader))
        unsafe setPointer(CURLOPT_HEADERDATA, context)
        unsafe require(weir_curl_set_bytes_callback(pointer, CURLOPT_WRITEFUNCTION, Self.onBody))
        unsafe setPointer(CURLOPT_WRITEDATA, context)
        unsafe require(weir_curl_set_before_request(pointer, Self.onConnection))
        unsafe setPointer(CURLOPT_PREREQDATA, context)
        unsafe require(weir_curl_set_open_socket(pointer, Self.onOpenSocket))
        unsafe setPointer(CURLOPT_OPENSOCKETDATA, context)
        unsafe require(weir_curl_set_close_socket(pointer, SocketTable.onCloseSocket))
        unsafe setPointer(CURLOPT_CLOSESOCKETDATA, engine.sockets.context)

        set(CURLOPT_NOSIGNAL, 1)
        set(CURLOPT_NOPROGRESS, 1)
        set(CURLOPT_BUFFERSIZE, Self.receiveBufferBytes)
        // A name's lookup runs on a thread of libcurl's; without this, a cancel waits for it and stops the loop.
        set(CURLOPT_QUICK_EXIT, 1)
        set(CURLOPT_TCP_NODELAY, 1)
        set(CURLOPT_TCP_KEEPALIVE, 1)

        setText(CURLOPT_PROTOCOLS_STR, "http,https")
        setText(CURLOPT_REDIR_PROTOCOLS_STR, "https")
        set(CURLOPT_FOLLOWLOCATION, 0)
        set(CURLOPT_DISALLOW_USERNAME_IN_URL, 1)
        set(CURLOPT_NETRC, 0)  // CURL_NETRC_IGNORED
        setText(CURLOPT_PROXY, "")
        setText(CURLOPT_NOPROXY, "*")
        set(CURLOPT_PATH_AS_IS, 1)
        set(CURLOPT_HTTP09_ALLOWED, 0)
        set(CURLOPT_HTTP_CONTENT_DECODING, 0)

        set(CURLOPT_SSL_VERIFYPEER, 1)
        set(CURLOPT_SSL_VERIFYHOST, 2)
        set(CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2)
        if let caFile = shape.caFile { setText(CURLOPT_CAINFO, caFile) }
        if let identity = shape.clientIdentity {
            setText(CURLOPT_SSLCERT, identity.certificateFile)
            setText(CURLOPT_SSLKEY, identity.keyFile)
        }

        set(CURLOPT_HTTP_VERSION, shape.http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1)
        if shape.http2 { set(CURLOPT_PIPEWAIT, 1) }
        switch shape.method {
        case .get: set(CURLOPT_HTTPGET, 1)
        case .head: set(CURLOPT_NOBODY, 1)
        case .post: set(CURLOPT_POST, 1)
        case .put, .patch, .delete:
            set(CURLOPT_POST, 1)
            setText(CURLOPT_CUSTOMREQUEST, shape.method.rawValue)
        }
    }

    private func set(_ option: CURLoption, _ value: Int) {
        unsafe require(weir_curl_set_long(pointer, option, value))
    }

    /// For pointers that libcurl keeps: they outlive the handle's use.
    @unsafe private func setPointer(_ option: CURLoption, _ value: UnsafeRawPointer?) {
        unsafe require(weir_curl_set_pointer(pointer, option, value))
    }

    /// For text, which libcurl copies.
    private func setText(_ option: CURLoption, _ value: String) {
        unsafe value.withCString { unsafe require(weir_curl_set_pointer(pointer, option, $0)) }
    }

    /// The settings are constants of ours: libcurl refuses one only when it has no memory or is another version.
    private func require(_ code: CURLcode) {
        precondition(code == CURLE_OK, "libcurl refused a setting")
    }

    private func copyBody(_ bytes: [UInt8]) {
        if unsafe bytes.count > bodyCapacity || body == nil {
            unsafe free(body)
            bodyCapacity = max(bytes.count, 4096)
            unsafe body = malloc(bodyCapacity)
        }
        guard let body = unsafe body else { preconditionFailure("out of memory for a request's body") }
        unsafe bytes.withUnsafeBytes { bytes in
            if let start = bytes.baseAddress { unsafe memcpy(body, start, bytes.count) }
        }
        unsafe require(weir_curl_set_size(pointer, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(bytes.count)))
        unsafe setPointer(CURLOPT_POSTFIELDS, body)
    }

    private func setURL(_ text: String) throws(TransferFailure) {
        let isWeb = text.utf8.starts(with: "https://".utf8) || text.utf8.starts(with: "http://".utf8)
        let isVisible = text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
        let flags = UInt32(CURLU_PATH_AS_IS | CURLU_DISALLOW_USER)
        guard isWeb, isVisible,
            unsafe text.withCString({ unsafe curl_url_set(parsedURL, CURLUPART_URL, $0, flags) }) == CURLUE_OK
        else {
            url = ""
            throw TransferFailure(reason: .invalidRequest, sentRequest: false, receivedBytes: false, detail: "url")
        }
        url = text
        unsafe setPointer(CURLOPT_CURLU, UnsafeRawPointer(parsedURL))
    }

    // MARK: Deadlines

    /// When the transfer has waited too long for what comes next, and what that is called.
    private func nextDeadline() -> (due: MonotonicTime, reason: TransferFailure.Reason)? {
        var next: (due: MonotonicTime, reason: TransferFailure.Reason)?
        switch phase {
        case .connecting: next = (connectDue, .connectTimeout)
        case .waiting: next = (lastActivity + firstByteTimeout, .firstByteTimeout)
        case .receiving where isHeld: break
        case .receiving: next = (lastActivity + idleTimeout, .idleTimeout)
        }
        guard let totalDue else { return next }
        if let next, next.due <= totalDue { return next }
        return (totalDue, .totalTimeout)
    }

    /// Makes sure that the timer fires no later than the next deadline; one that fires early looks again.
    private func armDeadline() {
        guard let timer, let (due, _) = nextDeadline() else { return }
        if !timer.isPending || timer.due > due { engine.reactor.arm(timer, at: due) }
    }

    private func checkDeadline() {
        guard let transfer, let (due, reason) = nextDeadline() else { return }
        guard due <= .now else { return armDeadline() }
        engine.fail(transfer, self, failure(reason))
    }

    // MARK: What libcurl calls

    private static let onHeader: weir_curl_bytes_callback = { bytes, size, count, context in
        guard let handle = unsafe EasyHandle.from(context) else { return 0 }
        return unsafe handle.didReceiveHeader(EasyHandle.borrow(bytes, size * count).span) ? size * count : 0
    }

    private static let onBody: weir_curl_bytes_callback = { bytes, size, count, context in
        guard let handle = unsafe EasyHandle.from(context) else { return 0 }
        switch unsafe handle.didReceiveBody(EasyHandle.borrow(bytes, size * count).span) {
        case .taken: return size * count
        case .held: return Int(CURL_WRITEFUNC_PAUSE)
        case .refused: return 0
        }
    }

    /// A connection is there, new or reused, and the request is about to leave on it.
    private static let onConnection: curl_prereq_callback = { context, _, _, _, _ in
        guard let handle = unsafe EasyHandle.from(context) else { return CURL_PREREQFUNC_ABORT }
        return handle.didConnect() ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT
    }

    private static let onOpenSocket: curl_opensocket_callback = { context, _, address in
        guard let handle = unsafe EasyHandle.from(context), let address = unsafe address else { return -1 }
        return unsafe handle.openSocket(address)
    }

    /// - Returns: the handle behind a callback's context; it is alive as long as libcurl may call.
    @unsafe static func from(_ context: UnsafeMutableRawPointer?) -> EasyHandle? {
        guard let context = unsafe context else { return nil }
        return unsafe Unmanaged<EasyHandle>.fromOpaque(context).takeUnretainedValue()
    }

    private enum BodyVerdict {
        case taken
        case held
        case refused
    }

    private func didReceiveHeader(_ line: Span<UInt8>) -> Bool {
        hasReceived = true
        switch assembler.append(line) {
        case .more:
            return true
        case .fault(let reason):
            fault = reason
            return false
        case .head(let head):
            phase = .receiving
            lastActivity = engine.reactor.now
            armDeadline()
            guard let transfer, let delegate = transfer.delegate else { return false }
            delegate.transfer(transfer, didReceiveHead: head)
            return !transfer.isEnded
        }
    }

    private func didReceiveBody(_ bytes: Span<UInt8>) -> BodyVerdict {
        guard let transfer, let delegate = transfer.delegate else { return .refused }
        guard assembler.isDone else {
            fault = .badFraming  // a body without a head
            return .refused
        }
        guard !transfer.isPaused else {
            isHeld = true
            return .held
        }
        lastActivity = engine.reactor.now
        delegate.transfer(transfer, didReceiveBody: bytes)
        return transfer.isEnded ? .refused : .taken
    }

    private func didConnect() -> Bool {
        attempts += 1
        guard attempts <= Self.maxAttempts else {
            fault = .reset
            return false
        }
        phase = .waiting
        lastActivity = engine.reactor.now
        armDeadline()
        return true
    }

    @unsafe private func openSocket(_ address: UnsafeMutablePointer<curl_sockaddr>) -> curl_socket_t {
        guard unsafe addressGuard.permits(Self.networkAddress(address)) else {
            hasRefusedAddress = true
            return -1  // CURL_SOCKET_BAD
        }
        let type = unsafe address.pointee.socktype | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = unsafe socket(address.pointee.family, type, address.pointee.protocol)
        if descriptor >= 0 { engine.sockets.opened(descriptor) }
        return descriptor
    }

    @unsafe private static func networkAddress(_ address: UnsafeMutablePointer<curl_sockaddr>) -> [UInt8] {
        guard let start = unsafe weir_curl_address(address) else { return [] }
        switch unsafe address.pointee.family {
        case AF_INET:
            var address = unsafe start.loadUnaligned(as: sockaddr_in.self).sin_addr
            return unsafe withUnsafeBytes(of: &address) { unsafe Array($0) }
        case AF_INET6:
            var address = unsafe start.loadUnaligned(as: sockaddr_in6.self).sin6_addr
            return unsafe withUnsafeBytes(of: &address) { unsafe Array($0) }
        default:
            return []
        }
    }

    // MARK: libcurl's codes

    private func reason(of code: CURLcode) -> TransferFailure.Reason {
        if let fault { return fault }
        switch code {
        case CURLE_OK, CURLE_WEIRD_SERVER_REPLY, CURLE_HTTP2, CURLE_BAD_CONTENT_ENCODING: return .badFraming
        case CURLE_UNSUPPORTED_PROTOCOL: return attempts > 0 ? .badFraming : .invalidRequest  // HTTP/0.9
        case CURLE_URL_MALFORMAT, CURLE_LOGIN_DENIED: return .invalidRequest
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: return .dns
        case CURLE_COULDNT_CONNECT: return hasRefusedAddress ? .addressRefused : .connect
        case CURLE_OPERATION_TIMEDOUT: return .connectTimeout  // the one time limit that libcurl keeps itself
        case CURLE_PARTIAL_FILE: return .truncated
        case CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_HTTP2_STREAM: return .reset
        case CURLE_RECV_ERROR: return hasChunkFault ? .badFraming : .reset
        case CURLE_OUT_OF_MEMORY where hasReceived && !assembler.isDone: return .headersTooLarge  // one huge line
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER,
            CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_CRL_BADFILE, CURLE_SSL_INVALIDCERTSTATUS,
            CURLE_SSL_PINNEDPUBKEYNOTMATCH, CURLE_USE_SSL_FAILED:
            return .tls
        default: return .other(code: Int32(bitPattern: code.rawValue))
        }
    }

    /// libcurl 7.88 has one code for a reset and for a broken chunk; only its text tells them apart.
    private var hasChunkFault: Bool { unsafe strstr(errorText, "chunked-encoding") != nil }

    @unsafe private static func borrow(_ bytes: UnsafeMutablePointer<CChar>?, _ count: Int) -> UnsafeBufferPointer<
        UInt8
    > {
        unsafe UnsafeBufferPointer(start: UnsafeRawPointer(bytes)?.assumingMemoryBound(to: UInt8.self), count: count)
    }
}

extension HTTPClientRequest.Method {
    fileprivate var carriesBody: Bool { self != .get && self != .head }
}
