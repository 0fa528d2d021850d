// Plays the publisher against a real Redis: the agent's own client is what is under test, so this is another one.

import Foundation
import Secrets
import Snapshot
import Synchronization

/// A blocking Redis client that publishes snapshots.
final class RedisWriter: Sendable {
    private let socket: BlockingSocket
    private let turn = Mutex(())
    private let announced = Mutex<String?>(nil)
    private let isBeating = Mutex(false)

    init(port: Int) throws {
        socket = try BlockingSocket(connectingTo: port)
    }

    deinit { socket.shut() }

    /// Sends one command and takes its short answer.
    @discardableResult
    func send(_ arguments: [[UInt8]]) -> String {
        var command = Array("*\(arguments.count)\r\n".utf8)
        for argument in arguments { command += Array("$\(argument.count)\r\n".utf8) + argument + Array("\r\n".utf8) }
        return turn.withLock { _ in
            socket.write(command)
            return String(decoding: socket.read(), as: UTF8.self)
        }
    }

    func set(_ key: String, _ value: [UInt8]) { send([Array("SET".utf8), Array(key.utf8), value]) }

    func announce(_ text: String) { send([Array("PUBLISH".utf8), Array("weir:head".utf8), Array(text.utf8)]) }

    /// Stores chunks and head and announces them; later heartbeats repeat it.
    func publish(
        _ snapshot: EncodedSnapshot,
        lineage: String,
        version: UInt64,
        canary: EncodedCanary? = nil,
        without missing: Set<Digest> = [],
        isAnnounced: Bool = true
    ) {
        for (digest, bytes) in snapshot.chunks where !missing.contains(digest) {
            set("weir:{snapshot}:chunk:\(digest.hex)", bytes)
        }
        for (digest, bytes) in canary?.chunks ?? [:] { set("weir:{snapshot}:chunk:\(digest.hex)", bytes) }
        if let canary {
            set("weir:{snapshot}:canary", canary.notice)
        } else {
            send([Array("DEL".utf8), Array("weir:{snapshot}:canary".utf8)])
        }
        set("weir:{snapshot}:head", snapshot.manifest)
        announced.withLock { $0 = "\(lineage) \(version)" }
        if isAnnounced { announce("\(lineage) \(version)") }
    }

    /// Repeats the head until the writer is dropped, as the publisher does.
    func beat(every interval: Double = 0.05) {
        Thread.detachNewThread { [weak self] in
            while let self {
                if let text = self.announced.withLock({ $0 }) { self.announce(text) }
                Thread.sleep(forTimeInterval: interval)
            }
        }
    }
}
