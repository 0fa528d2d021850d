// Builds Swift replies while hiredis's reader walks the protocol, and stops it when a reply grows beyond its
// bounds: the reader of 0.14 has none, and a reply of `*100000000` would allocate before the first element came.

import CHiredis

/// The reply that a reader is working on.
///
/// Confined to its connection's Reactor; the reader holds a pointer to it and calls it only inside
/// `redisReaderGetReply`.
@safe final class ReplyBuilder {
    private struct OpenArray {
        var elements: [RedisReply]
        let count: Int
    }

    /// Reserved before any element has come, however many are announced.
    private static let reservedElements = 64

    private let maxElements: Int
    private let maxBytes: Int
    private var open: [OpenArray] = []
    private var elementCount = 0
    private var byteCount = 0
    private var error: RedisFailure?
    private var finished: RedisReply?

    init(maxElements: Int, maxBytes: Int) {
        self.maxElements = maxElements
        self.maxBytes = maxBytes
    }

    /// What the reader was found to have finished.
    func take() -> Result<RedisReply, RedisFailure> {
        defer {
            elementCount = 0
            byteCount = 0
            error = nil
            finished = nil
        }
        if let error { return .failure(error) }
        return .success(finished ?? .null)
    }

    /// Puts a value where it belongs, closing every array that it completes.
    private func add(_ reply: RedisReply) {
        var reply = reply
        while let last = open.indices.last {
            open[last].elements.append(reply)
            guard open[last].elements.count == open[last].count else { return }
            reply = .array(open.removeLast().elements)
        }
        finished = reply
    }

    private func addString(type: Int32, _ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        byteCount += bytes.count
        guard byteCount <= maxBytes else { return false }
        switch type {
        case REDIS_REPLY_ERROR:
            if error == nil { error = unsafe RedisFailure(errorReply: String(decoding: bytes, as: UTF8.self)) }
            add(.null)
        case REDIS_REPLY_STATUS:
            unsafe add(.status(Array(bytes)))
        default:
            unsafe add(.bulk(Array(bytes)))
        }
        return true
    }

    private func addArray(count: Int) -> Bool {
        guard count >= 0, elementCount + count <= maxElements else { return false }
        elementCount += count
        guard count > 0 else {
            add(.array([]))
            return true
        }
        var elements: [RedisReply] = []
        elements.reserveCapacity(min(count, Self.reservedElements))
        open.append(OpenArray(elements: elements, count: count))
        return true
    }

    // MARK: What hiredis calls

    /// The reader's functions; never freed, because readers hold a pointer to them.
    nonisolated(unsafe) static let functions: UnsafeMutablePointer<redisReplyObjectFunctions> = {
        let functions = UnsafeMutablePointer<redisReplyObjectFunctions>.allocate(capacity: 1)
        unsafe functions.initialize(
            to: redisReplyObjectFunctions(
                createString: { task, bytes, count in
                    guard let task = unsafe task, let builder = unsafe ReplyBuilder.from(task) else { return nil }
                    let bytes = unsafe UnsafeBufferPointer(
                        start: UnsafeRawPointer(bytes)?.assumingMemoryBound(to: UInt8.self),
                        count: count
                    )
                    return unsafe builder.addString(type: task.pointee.type, bytes) ? task.pointee.privdata : nil
                },
                createArray: { task, count in
                    guard let task = unsafe task, let builder = unsafe ReplyBuilder.from(task) else { return nil }
                    return unsafe builder.addArray(count: Int(count)) ? task.pointee.privdata : nil
                },
                createInteger: { task, value in
                    guard let task = unsafe task, let builder = unsafe ReplyBuilder.from(task) else { return nil }
                    builder.add(.integer(value))
                    return unsafe task.pointee.privdata
                },
                createNil: { task in
                    guard let task = unsafe task, let builder = unsafe ReplyBuilder.from(task) else { return nil }
                    builder.add(.null)
                    return unsafe task.pointee.privdata
                },
                freeObject: { _ in }  // the objects are the builder itself
            )
        )
        return unsafe functions
    }()

    @unsafe private static func from(_ task: UnsafePointer<redisReadTask>) -> ReplyBuilder? {
        guard let context = unsafe task.pointee.privdata else { return nil }
        return unsafe Unmanaged<ReplyBuilder>.fromOpaque(context).takeUnretainedValue()
    }
}
