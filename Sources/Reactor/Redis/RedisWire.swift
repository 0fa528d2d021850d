// One socket to Redis through hiredis: its context writes and its reader reads, and which reply answers what is
// decided above. hiredis's own asynchronous layer is not used: on an unasked reply or an odd pub/sub message
// version 0.14 runs into assert(), so that garbage from Redis would end the process.

private import CHiredis
private import Glibc

/// A connected or connecting socket with hiredis's buffers.
///
/// Confined to its Reactor. Every pointer of hiredis lives and dies here.
@safe final class RedisWire {
    enum Step {
        case reply(Result<RedisReply, RedisFailure>)
        case needsMore
        case broken
    }

    enum Flush {
        case done
        case partial
        case broken
    }

    /// A status, error or integer line is short; hiredis looks through an unfinished one from its start each time.
    private static let maxLineBytes = 64 << 10

    private let context: UnsafeMutablePointer<redisContext>
    private let builder: ReplyBuilder
    private let maxBufferedBytes: Int

    /// Starts to connect; nothing blocks, so the host must be an address.
    ///
    /// - Throws: `connectionLost` when the machine refuses at once.
    init(address: String, configuration: RedisConfiguration) throws(RedisFailure) {
        let context =
            if let path = configuration.unixSocket {
                unsafe redisConnectUnixNonBlock(path)
            } else {
                unsafe redisConnectNonBlock(address, Int32(clamping: configuration.port))
            }
        guard let context = unsafe context else { preconditionFailure("out of memory for a Redis connection") }
        guard unsafe context.pointee.err == 0, let reader = unsafe context.pointee.reader else {
            unsafe redisFree(context)
            throw .connectionLost
        }
        unsafe self.context = context
        builder = ReplyBuilder(maxElements: configuration.maxReplyElements, maxBytes: configuration.maxReplyBytes)
        maxBufferedBytes = configuration.maxReplyBytes + Self.maxLineBytes
        unsafe reader.pointee.fn = ReplyBuilder.functions
        unsafe reader.pointee.privdata = Unmanaged.passUnretained(builder).toOpaque()
    }

    /// Closes the socket; it must not be watched any more.
    deinit { unsafe redisFree(context) }

    /// The socket.
    var descriptor: Int32 { unsafe context.pointee.fd }

    /// Whether the attempt to connect, now that the socket is writable, came to something.
    func finishConnecting() -> Bool {
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        guard unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size) == 0, code == 0 else { return false }
        // All refused by a Unix socket, which has no delay and no middleboxes.
        setTCPOption(TCP_NODELAY, 1)
        // Between commands nothing else tells that the peer or a middlebox has forgotten the connection, and the first
        // request after a quiet time would be the one to find out. Dead after 25 s without a word.
        var on: Int32 = 1
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, socklen_t(MemoryLayout<Int32>.size))
        setTCPOption(TCP_KEEPIDLE, 10)
        setTCPOption(TCP_KEEPINTVL, 5)
        setTCPOption(TCP_KEEPCNT, 3)
        return true
    }

    private func setTCPOption(_ option: Int32, _ value: Int32) {
        var value = value
        _ = unsafe setsockopt(
            descriptor,
            Int32(IPPROTO_TCP),
            option,
            &value,
            socklen_t(MemoryLayout<Int32>.size)
        )
    }

    /// Queues encoded commands.
    func append(_ bytes: [UInt8]) {
        let outcome = unsafe bytes.withUnsafeBytes { bytes in
            unsafe redisAppendFormattedCommand(
                context,
                bytes.baseAddress?.assumingMemoryBound(to: CChar.self),
                bytes.count
            )
        }
        precondition(outcome == REDIS_OK, "out of memory for a Redis command")
    }

    /// Writes what is queued, as far as the socket takes it.
    func flush() -> Flush {
        var isDone: Int32 = 0
        guard unsafe redisBufferWrite(context, &isDone) == REDIS_OK else { return .broken }
        return isDone != 0 ? .done : .partial
    }

    /// Reads once; false when the peer is gone.
    func read() -> Bool { unsafe redisBufferRead(context) == REDIS_OK }

    /// The next whole reply of those that were read.
    func next() -> Step {
        guard let reader = unsafe context.pointee.reader else { return .broken }
        var object: UnsafeMutableRawPointer?
        guard unsafe redisReaderGetReply(reader, &object) == REDIS_OK else { return .broken }
        guard unsafe object == nil else { return .reply(builder.take()) }
        let waiting = unsafe reader.pointee.len - reader.pointee.pos
        guard waiting <= maxBufferedBytes else { return .broken }
        if waiting > Self.maxLineBytes, let start = unsafe reader.pointee.buf,
            unsafe start[reader.pointee.pos] != CChar(bitPattern: UInt8(ascii: "$"))
        {
            return .broken
        }
        return .needsMore
    }

    /// Whether something can be read now: asked before a deadline is called missed.
    var isReadable: Bool {
        var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&request, 1, 0) > 0
    }
}
