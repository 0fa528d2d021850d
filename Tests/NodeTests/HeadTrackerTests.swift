// What a message may cost: heartbeats nothing, forgeries one look per pause, news one look at once.

import Testing

@testable import Gateway

private let lineage = String(repeating: "a", count: 32)
private let otherLineage = String(repeating: "b", count: 32)
private func version(_ number: UInt64) -> SnapshotIdentity { SnapshotIdentity(lineage: lineage, version: number) }

@Suite struct `The head tracker` {
    private var tracker: HeadTracker

    init() {
        tracker = HeadTracker(futilePause: .seconds(1))
        tracker.enforced(version(7))
    }

    @Test mutating func `looks at once when a newer version is announced`() {
        #expect(tracker.announced(version(8), now: .zero) == .readHead)
    }

    @Test mutating func `takes repeats and older versions for heartbeats`() {
        for number: UInt64 in [7, 6, 1, 0] { #expect(tracker.announced(version(number), now: .zero) == .none) }
    }

    @Test mutating func `looks when another lineage is announced`() {
        #expect(tracker.announced(SnapshotIdentity(lineage: otherLineage, version: 1), now: .zero) == .readHead)
    }

    @Test mutating func `looks once for a thousand messages of one version`() {
        var reads = 0
        for _ in 0..<1_000 where tracker.announced(version(8), now: .zero) == .readHead { reads += 1 }
        tracker.enforced(version(8))
        #expect(tracker.readEnded(foundNews: true, now: .zero) == .none)
        for _ in 0..<1_000 where tracker.announced(version(8), now: .zero) == .readHead { reads += 1 }
        #expect(reads == 1)
    }

    @Test mutating func `looks again after a reading when something newer came meanwhile`() {
        #expect(tracker.announced(version(8), now: .zero) == .readHead)
        #expect(tracker.announced(version(9), now: .zero) == .none)
        tracker.enforced(version(8))
        #expect(tracker.readEnded(foundNews: true, now: .zero) == .readHead)
    }

    @Test mutating func `pauses after a message that promised too much, and looks then`() {
        #expect(tracker.announced(version(.max), now: .zero) == .readHead)
        #expect(tracker.readEnded(foundNews: false, now: .milliseconds(1)) == .none)
        let wait = HeadTracker.Action.wait(until: .milliseconds(1_001))
        #expect(tracker.announced(version(1 << 63), now: .milliseconds(2)) == wait)
        #expect(tracker.announced(version(8), now: .milliseconds(900)) == wait)
        #expect(tracker.pauseEnded(now: .milliseconds(1_001)) == .readHead)
    }

    @Test mutating func `reads at most once a second however many forgeries come`() {
        var reads = 0
        for millisecond in 0..<10_000 {
            let now = Duration.milliseconds(millisecond)
            var action = tracker.announced(version(UInt64(1_000_000 + millisecond)), now: now)
            while action == .readHead {
                reads += 1
                action = tracker.readEnded(foundNews: false, now: now)
            }
        }
        #expect(reads == 10)
    }

    @Test mutating func `does not make a true message wait for a swap that came by another way`() {
        #expect(tracker.announced(version(9), now: .zero) == .readHead)
        #expect(tracker.readEnded(foundNews: false, now: .zero) == .none)
        tracker.enforced(version(8))  // by a poll
        #expect(tracker.announced(version(9), now: .milliseconds(1)) == .readHead)
    }

    @Test mutating func `looks after every connection, once more when it was looking already`() {
        #expect(tracker.connected(now: .zero) == .readHead)
        #expect(tracker.connected(now: .zero) == .none)
        #expect(tracker.readEnded(foundNews: false, now: .zero) == .readHead)
        #expect(tracker.readEnded(foundNews: false, now: .zero) == .none)
        // Nobody announced anything, so nobody is made to wait.
        #expect(tracker.announced(version(8), now: .zero) == .readHead)
    }
}

@Suite struct `A head tracker whose connections are cut over and over` {
    @Test func `looks twice a second at most`() {
        var tracker = HeadTracker(futilePause: .seconds(1))
        var reads = 0
        for millisecond in 0..<10_000 {
            let now = Duration.milliseconds(millisecond)
            if tracker.connected(now: now) == .readHead {
                reads += 1
                _ = tracker.readEnded(foundNews: false, now: now)
            }
        }
        #expect(reads == 20)
    }
}

@Suite struct `An announcement` {
    @Test func `is a lineage and a version`() {
        let text = Array("\(lineage) 18446744073709551615".utf8)
        #expect(SnapshotIdentity(announcement: text) == version(.max))
    }

    @Test(arguments: [
        "", " ", "x", "\(lineage)", "\(lineage) ", "\(lineage)  1", "\(lineage) -1", "\(lineage) +1", "\(lineage) 1 ",
        "\(lineage) 18446744073709551616", "\(lineage) 1\n", "\(lineage.uppercased()) 1", "g\(lineage.dropFirst()) 1",
        "\(lineage)a 1", "\(lineage.dropFirst()) 1", "\(lineage)\t1", String(repeating: "a", count: 10_000_000),
    ])
    func `is nothing else`(text: String) {
        #expect(SnapshotIdentity(announcement: Array(text.utf8)) == nil)
    }
}

@Suite struct `The snapshot gate` {
    private var gate = SnapshotGate()

    @Test func `takes anything when nothing is enforced`() {
        #expect(gate.judge(version(1), createdAt: 0) == .take)
    }

    @Test mutating func `takes only newer versions of a lineage`() {
        gate.enforced(version(7), createdAt: 100)
        #expect(gate.judge(version(8), createdAt: 50) == .take)  // clocks of two control planes may differ
        #expect(gate.judge(version(7), createdAt: 100) == .same)
        #expect(
            gate.judge(version(6), createdAt: 200)
                == .refuse(SnapshotRefusal(.version, "version 6 is older than the enforced 7"))
        )
    }

    @Test mutating func `takes another lineage when it was made later, and never goes back`() {
        gate.enforced(version(7), createdAt: 100)
        let restored = SnapshotIdentity(lineage: otherLineage, version: 3)
        #expect(gate.judge(restored, createdAt: 99) != .take)
        #expect(gate.judge(restored, createdAt: 101) == .take)
        gate.enforced(restored, createdAt: 101)
        #expect(
            gate.judge(version(8), createdAt: 200)
                == .refuse(SnapshotRefusal(.lineage, "lineage \(lineage) was replaced by \(otherLineage)"))
        )
    }
}

@Suite struct `A backoff` {
    @Test func `doubles to its bound, jittered by half, and begins again after a success`() {
        var random = SystemRandomNumberGenerator()
        var backoff = Backoff(least: .milliseconds(100), most: .seconds(5))
        for full in [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
            let wait = backoff.failed(random: &random)
            #expect(wait >= .milliseconds(full / 2) && wait <= .milliseconds(full))
        }
        for _ in 0..<100 { #expect(backoff.failed(random: &random) <= .seconds(5)) }
        backoff.succeeded()
        #expect(backoff.failed(random: &random) <= .milliseconds(100))
    }
}

@Suite struct `A report's text` {
    @Test func `is a flat JSON object`() {
        var text = ReportText()
        text.append("reason", "a \"b\"\n")
        text.append("version", UInt64.max)
        #expect(
            String(decoding: text.bytes, as: UTF8.self) == #"{"reason":"a \"b\"\n","version":18446744073709551615}"#
        )
    }

    @Test(arguments: [
        (#"{"live_nodes":3}"#, 3), (#"{ "x": 1, "live_nodes" : 12 }"#, 12), (#"{"live_nodes":-3}"#, nil),
        (#"{"live_nodes":"3"}"#, nil), (#"{"live_nodes"#, nil), ("", nil),
        (#"{"live_nodes":99999999999999999999}"#, nil),
        (#"{"live_nodes":"#, nil), (#"{"nodes":3}"#, nil),
    ])
    func `gives up its numbers`(json: String, number: Int?) {
        #expect(ReportText.integer(named: "live_nodes", in: Array(json.utf8)) == number)
    }
}

@Suite struct `A node's configuration` {
    @Test(arguments: ["", "a/b", "a b", "é", String(repeating: "a", count: 65), "a\r\nX: y"])
    func `refuses an id that does not fit a URL`(id: String) {
        let error = #expect(throws: NodeError.self) { try NodeFixture.configuration(nodeID: id).validate() }
        #expect(error?.field == "nodeID")
    }

    @Test(arguments: ["ftp://x", "http://x/", "http://x y", "x"])
    func `refuses a control plane that is no base URL`(url: String) {
        let error = #expect(throws: NodeError.self) { try NodeFixture.configuration(controlURL: url).validate() }
        #expect(error?.field == "controlURL")
    }

    @Test func `does not print the fleet token`() {
        let configuration = NodeFixture.configuration()
        let texts = ["\(configuration)", String(reflecting: configuration)]
        for text in texts { #expect(!text.contains(FakeControlPlane.token)) }
    }
}
