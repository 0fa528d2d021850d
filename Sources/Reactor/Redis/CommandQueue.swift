// The commands of one connection that wait for their answers, in the order they were written: Redis answers in
// that order and names no command, so this queue alone says which answer is whose.

/// A command that waits for its answer.
struct PendingCommand {
    enum Purpose {
        /// A caller's command.
        case command((Result<RedisReply, RedisFailure>) -> Void)
        /// A caller's script, to be sent whole when the server does not know it.
        case script(ScriptCall)
        /// A part of the greeting, or the last part, after which the connection is ready.
        case greeting(isLast: Bool)
        /// A subscription that the server confirms.
        case subscription([UInt8])
        /// Asks a subscribed connection whether it is alive.
        case ping
    }

    let purpose: Purpose
    let patience: Duration
    /// When it was written to the socket; nil until the end of its turn.
    var writtenAt: MonotonicTime?
}

/// A script call with what its second attempt needs.
struct ScriptCall {
    let script: RedisScript
    let keys: [[UInt8]]
    let arguments: [[UInt8]]
    let done: (Result<RedisReply, RedisFailure>) -> Void
}

/// First in, first out; removal costs O(1) amortised.
struct CommandQueue {
    private var storage: [PendingCommand?] = []
    private var head = 0
    private var unwritten = 0

    var count: Int { storage.count - head }
    var isEmpty: Bool { head == storage.count }
    var first: PendingCommand? { isEmpty ? nil : storage[head] }

    mutating func append(_ command: PendingCommand) {
        storage.append(command)
        unwritten += 1
    }

    mutating func popFirst() -> PendingCommand? {
        guard !isEmpty else { return nil }
        let command = storage[head]
        storage[head] = nil
        head += 1
        unwritten = min(unwritten, count)
        if isEmpty {
            storage.removeAll(keepingCapacity: storage.capacity <= 4096)
            head = 0
        } else if head >= 1024, head * 2 >= storage.count {
            storage.removeFirst(head)
            head = 0
        }
        return command
    }

    /// Starts the clock of every command queued since the last call.
    mutating func markWritten(at time: MonotonicTime) {
        guard unwritten > 0 else { return }
        for index in (storage.count - unwritten)..<storage.count { storage[index]?.writtenAt = time }
        unwritten = 0
    }
}
