// How changes arrive, and what is kept out: forged messages, old snapshots, foreign signatures, parts that are missing.

import Foundation
import Secrets
import Snapshot
import Stack
import Synchronization
import Telemetry
import Testing

@testable import Gateway

@Suite(.serialized) struct `A node that follows Redis` {
    @Test func `swaps on a publication and fetches only what changed`() async throws {
        let (fixture, writer, agent) = try await following(1)
        let before = agent.status
        writer.publish(fixture.snapshot(2), lineage: NodeFixture.lineage, version: 2)
        #expect(await eventually { agent.status.version == 2 })
        let changed = fixture.difference(fixture.snapshot(2), fixture.snapshot(1))
        #expect(changed.count == 1)
        #expect(agent.status.chunksFromRedis - before.chunksFromRedis == 1)
        #expect(fixture.enforced.versions == [1, 2])
    }

    @Test func `reads the head once per version, whatever is repeated`() async throws {
        let (fixture, writer, agent) = try await following(1)
        let before = agent.status.headReads
        writer.publish(fixture.snapshot(2), lineage: NodeFixture.lineage, version: 2)
        #expect(await eventually { agent.status.version == 2 })
        for _ in 0..<1_000 { writer.announce("\(NodeFixture.lineage) \([1, 2].randomElement() ?? 2)") }
        writer.publish(fixture.snapshot(3), lineage: NodeFixture.lineage, version: 3)
        #expect(await eventually { agent.status.version == 3 })
        // A read that was under way when version 2 came may have found it: then there is one fewer, and never one more.
        #expect((1...2).contains(agent.status.headReads - before))
    }

    @Test func `reads the head at most once a second for forged messages, and never goes back`() async throws {
        let (fixture, writer, agent) = try await following(5)
        let before = agent.status.headReads
        let start = ContinuousClock.now
        for number: UInt64 in 0..<2_000 {
            writer.announce("\(NodeFixture.lineage) \(UInt64(1) << 63 + number)")
            writer.announce(String(repeating: "f", count: 32) + " \(number)")
            writer.announce("garbage \(number)")
        }
        writer.announce(String(repeating: "x", count: 10_000_000))
        let seconds = UInt64((ContinuousClock.now - start).components.seconds)
        #expect(agent.status.headReads - before <= seconds + 2)
        #expect(agent.status.nacks == 0)
        // A true change is still heard, a pause later at most.
        writer.publish(fixture.snapshot(6), lineage: NodeFixture.lineage, version: 6)
        #expect(await eventually { agent.status.version == 6 })
        #expect(fixture.enforced.versions == [5, 6])
    }

    @Test func `asks the control plane for a chunk that Redis lacks`() async throws {
        let (fixture, writer, agent) = try await following(1)
        let next = fixture.snapshot(2)
        fixture.control.serve(next, lineage: NodeFixture.lineage, version: 2)
        writer.publish(
            next,
            lineage: NodeFixture.lineage,
            version: 2,
            without: fixture.difference(next, fixture.snapshot(1))
        )
        #expect(await eventually { agent.status.version == 2 })
        #expect(agent.status.chunksFromControl == 1)
    }

    @Test func `believes no chunk but by its digest`() async throws {
        let (fixture, writer, agent) = try await following(1)
        let next = fixture.snapshot(2)
        fixture.control.serve(next, lineage: NodeFixture.lineage, version: 2)
        for digest in fixture.difference(next, fixture.snapshot(1)) {
            var bytes = try #require(next.chunks[digest])
            bytes[bytes.count / 2] ^= 1
            writer.set("weir:{snapshot}:chunk:\(digest.hex)", bytes)
        }
        writer.publish(
            next,
            lineage: NodeFixture.lineage,
            version: 2,
            without: fixture.difference(next, fixture.snapshot(1))
        )
        #expect(await eventually { agent.status.version == 2 })
        #expect(agent.status.chunksFromControl == 1)
        #expect(fixture.enforced.versions == [1, 2])
    }

    @Test func `refuses a snapshot with a missing chunk, and takes it when the chunk is there`() async throws {
        let (fixture, writer, agent) = try await following(1)
        let next = fixture.snapshot(2)
        let missing = fixture.difference(next, fixture.snapshot(1))
        fixture.control.serve(next, lineage: NodeFixture.lineage, version: 2)
        fixture.control.state.withLock { $0.missingChunks = missing }
        writer.publish(next, lineage: NodeFixture.lineage, version: 2, without: missing)
        #expect(await eventually { agent.status.refusal != nil })
        #expect(agent.status.refusal?.contains("missing") == true)
        #expect(agent.status.version == 1)
        #expect(await nacked(fixture, because: "missing"))
        fixture.control.state.withLock { $0.missingChunks = [] }
        writer.beat()
        #expect(await eventually { agent.status.version == 2 })
        #expect(agent.status.refusal == nil)
    }

    @Test func `refuses a foreign signature, and heals from the control plane`() async throws {
        let (fixture, writer, agent) = try await following(1)
        writer.publish(
            fixture.snapshot(2, signedBy: SigningKey.generate()),
            lineage: NodeFixture.lineage,
            version: 2
        )
        #expect(await nacked(fixture, because: "signed by another key"))
        #expect(agent.status.version == 1)
        fixture.control.serve(fixture.snapshot(2), lineage: NodeFixture.lineage, version: 2)
        writer.beat()
        #expect(await eventually { agent.status.version == 2 })
    }

    @Test func `refuses a manifest with a flipped bit`() async throws {
        let (fixture, writer, agent) = try await following(1)
        let good = fixture.snapshot(2)
        var manifest = good.manifest
        manifest[manifest.count / 2] ^= 1
        let bad = EncodedSnapshot(manifest: manifest, chunks: good.chunks)
        writer.publish(bad, lineage: NodeFixture.lineage, version: 2)
        #expect(await nacked(fixture, because: "manifest"))
        #expect(agent.status.version == 1)
        #expect(fixture.enforced.versions == [1])
    }

    @Test func `refuses an older version`() async throws {
        let (fixture, writer, agent) = try await following(5)
        writer.publish(fixture.snapshot(4), lineage: NodeFixture.lineage, version: 4, isAnnounced: false)
        writer.announce("\(NodeFixture.lineage) 6")
        #expect(await nacked(fixture, because: "version 4 is older than the enforced 5"))
        #expect(agent.status.version == 5)
        // Once the head is right again the node says so: heartbeats make it ask the control plane.
        fixture.control.serve(fixture.snapshot(5), lineage: NodeFixture.lineage, version: 5)
        writer.publish(fixture.snapshot(5), lineage: NodeFixture.lineage, version: 5)
        writer.beat()
        #expect(await eventually { agent.status.refusal == nil })
        #expect(await eventually { fixture.control.state.withLock { $0.reports.last?.status } == "ack" })
    }

    @Test func `refuses a policy kind it does not know`() async throws {
        let (fixture, writer, agent) = try await following(1)
        writer.publish(fixture.snapshot(2, policyKind: "of_the_future"), lineage: NodeFixture.lineage, version: 2)
        #expect(await nacked(fixture, because: "kind of_the_future is unknown"))
        #expect(agent.status.version == 1)
        let nacks = agent.status.nacks
        writer.beat()
        writer.publish(fixture.snapshot(3), lineage: NodeFixture.lineage, version: 3)
        #expect(await eventually { agent.status.version == 3 })
        #expect(agent.status.nacks == nacks)
    }

    @Test func `counts refusals by class, and what requests and reads find by tier`() async throws {
        let fixture = try await NodeFixture()
        let writer = try RedisWriter(port: fixture.redisPort)
        writer.publish(fixture.snapshot(3), lineage: NodeFixture.lineage, version: 3)
        let metrics = MetricRegistry()
        let agent = try fixture.agent(metrics: metrics)
        #expect(await eventually { agent.status.version == 3 && agent.status.isFollowingRedis })
        #expect(agent.isFresh(at: WallClock.milliseconds))
        #expect(!agent.isFresh(at: WallClock.milliseconds + 31_000))
        var format = fixture.snapshot(4).manifest
        format[7] = 99
        var signature = fixture.snapshot(4).manifest
        signature[signature.count - 1] ^= 1
        let bad: [(String, EncodedSnapshot)] = [
            ("foreign_key", fixture.snapshot(4, signedBy: .generate())),
            ("signature", EncodedSnapshot(manifest: signature, chunks: [:])),
            ("format", EncodedSnapshot(manifest: format, chunks: [:])),
            ("malformed", EncodedSnapshot(manifest: [1, 2, 3], chunks: [:])),
            ("version", fixture.snapshot(2)),
            ("lineage", fixture.snapshot(9, lineage: String(repeating: "1", count: 32), createdAt: 1)),
            ("program", fixture.snapshot(4, policyKind: "of_the_future")),
        ]
        for (number, (kind, snapshot)) in bad.enumerated() {
            writer.publish(snapshot, lineage: NodeFixture.lineage, version: 0, isAnnounced: false)
            let line = "weir_snapshot_nacks_total{reason=\"\(kind)\"} 1\n"
            #expect(
                await eventually {
                    writer.announce("\(NodeFixture.lineage) \(100 + number)")
                    return String(decoding: metrics.render(), as: UTF8.self).contains(line)
                },
                "\(kind)"
            )
            #expect(agent.status.version == 3)
        }
        #expect(fixture.enforced.versions == [3])
        let text = String(decoding: metrics.render(), as: UTF8.self)
        #expect(text.contains("weir_policy_cache_hits_total{tier=\"redis\"}"))
        #expect(text.contains("weir_policy_cache_misses_total{tier=\"control\"}"))
        #expect(text.contains("\nweir_snapshot_confirmed_age_seconds "))
        #expect(agent.status.redisHits > 0)
    }

    @Test func `hears of changes again at once when Redis drops its subscribers`() async throws {
        let (fixture, writer, agent) = try await following(1)
        for version: UInt64 in 2...4 {
            writer.publish(
                fixture.snapshot(version),
                lineage: NodeFixture.lineage,
                version: version,
                isAnnounced: false
            )
            writer.send(["CLIENT", "KILL", "TYPE", "pubsub"].map { Array($0.utf8) })
            #expect(await eventually { agent.status.version == version })
        }
        writer.beat()
        #expect(await eventually { agent.status.isFollowingRedis })
    }

    @Test func `takes a restored database's lineage, and never the old one again`() async throws {
        let (fixture, writer, agent) = try await following(9)
        let restored = String(repeating: "5", count: 32)
        writer.publish(fixture.snapshot(2, lineage: restored, createdAt: 50_000), lineage: restored, version: 2)
        #expect(await eventually { agent.status.lineage == restored })
        #expect(agent.status.version == 2)
        writer.publish(fixture.snapshot(10, createdAt: 60_000), lineage: NodeFixture.lineage, version: 10)
        #expect(await nacked(fixture, because: "was replaced by"))
        #expect(agent.status.lineage == restored)
    }

    @Test func `asks the control plane now and then, so that a lying Redis hides nothing for long`() async throws {
        var timing = NodeFixture.timing
        timing.confirmInterval = .milliseconds(300)
        let (fixture, writer, agent) = try await following(1, timing: timing)
        writer.beat()
        fixture.control.serve(fixture.snapshot(2), lineage: NodeFixture.lineage, version: 2)
        #expect(await eventually { agent.status.version == 2 })
        #expect(agent.status.source == .control)
        #expect(agent.status.isFollowingRedis)
    }
}

@Suite(.serialized) struct `A node without Redis` {
    @Test func `polls the control plane at once, and follows Redis again when it is back`() async throws {
        let (fixture, _, agent) = try await following(1)
        fixture.control.serve(fixture.snapshot(1), lineage: NodeFixture.lineage, version: 1)
        let redis = try #require(fixture.redis)
        await redis.process.process?.send(9)
        #expect(await eventually { agent.status.polls > 0 })
        #expect(!agent.status.isFollowingRedis)
        fixture.control.serve(fixture.snapshot(2), lineage: NodeFixture.lineage, version: 2)
        #expect(await eventually { agent.status.version == 2 })
        #expect(agent.status.source == .control)
        try await redis.process.start()
        let writer = try RedisWriter(port: fixture.redisPort)
        writer.publish(fixture.snapshot(2), lineage: NodeFixture.lineage, version: 2)
        writer.beat()
        #expect(await eventually { agent.status.isFollowingRedis })
        writer.publish(fixture.snapshot(3), lineage: NodeFixture.lineage, version: 3)
        #expect(await eventually { agent.status.version == 3 })
        #expect(agent.status.source == .redis)
        #expect(fixture.enforced.versions == [1, 2, 3])
    }

    @Test func `notices a Redis that is stopped but still connected`() async throws {
        let (fixture, _, agent) = try await following(1)
        fixture.control.serve(fixture.snapshot(2), lineage: NodeFixture.lineage, version: 2)
        let redis = try #require(fixture.redis)
        await redis.process.process?.send(19)
        #expect(await eventually { agent.status.version == 2 })
        #expect(agent.status.source == .control)
        await redis.process.process?.send(18)
        let writer = try RedisWriter(port: fixture.redisPort)
        writer.publish(fixture.snapshot(3), lineage: NodeFixture.lineage, version: 3)
        writer.beat()
        #expect(await eventually { agent.status.version == 3 && agent.status.isFollowingRedis })
    }

    @Test func `holds one long poll, not many`() async throws {
        let fixture = try await NodeFixture(hasRedis: false)
        fixture.control.serve(fixture.snapshot(1), lineage: NodeFixture.lineage, version: 1)
        let agent = try fixture.agent()
        #expect(await eventually { agent.status.version == 1 })
        #expect(await eventually { fixture.control.state.withLock { $0.manifestCalls.last } == "node=node-1&wait=2" })
        await pause(for: .seconds(1))
        #expect(fixture.control.state.withLock { $0.manifestCalls.count } == 2)
    }

    @Test func `goes on when the control plane goes and comes`() async throws {
        let fixture = try await NodeFixture(hasRedis: false)
        fixture.control.serve(fixture.snapshot(1), lineage: NodeFixture.lineage, version: 1)
        let agent = try fixture.agent()
        #expect(await eventually { agent.status.isControlReachable })
        fixture.control.goDown()
        #expect(await eventually { !agent.status.isControlReachable })
        #expect(agent.status.isReady)
        fixture.control.serve(fixture.snapshot(2), lineage: NodeFixture.lineage, version: 2)
        fixture.control.comeBack()
        #expect(await eventually { agent.status.version == 2 && agent.status.isControlReachable })
    }
}

/// A node that enforces a version it has from Redis and hears of others.
private func following(
    _ version: UInt64,
    timing: NodeTiming = NodeFixture.timing
) async throws -> (NodeFixture, RedisWriter, NodeAgent) {
    let fixture = try await NodeFixture()
    let writer = try RedisWriter(port: fixture.redisPort)
    writer.publish(fixture.snapshot(version), lineage: NodeFixture.lineage, version: version)
    let agent = try fixture.agent(timing: timing)
    #expect(await eventually { agent.status.version == version })
    #expect(await eventually { agent.status.isFollowingRedis })
    return (fixture, writer, agent)
}

private func nacked(_ fixture: NodeFixture, because reason: String) async -> Bool {
    await eventually {
        fixture.control.state.withLock { state in
            state.reports.contains { $0.status == "nack" && $0.reason?.contains(reason) == true }
        }
    }
}
