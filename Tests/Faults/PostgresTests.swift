// RELIABILITY P1 to P6: the database goes, hangs, only reads or runs full. Requests must not feel it; admin writes are
// refused in time, each acknowledged one is there, and nodes keep their usage until it can be taken.

import Foundation
import Glibc
import Stack
import Testing

extension Faults {
    @Suite(.serialized, .faultSystem()) struct `PostgreSQL` {
        private let system: FaultSystem

        init() throws { system = try FaultSystem.running }

        /// Traffic that goes on while `during` happens, unharmed, with no usage lost or doubled.
        private func underLoad(_ during: () async throws -> Void) async throws {
            let free = try await system.makeApp()
            let limited = try await system.makeApp([.perMonth(60)])
            let load = try await system.startLoad([free.client(rate: 80), limited.client(rate: 40)])
            await pause(for: .milliseconds(200))
            try await during()
            let history = await load.stop()
            system.expectUnharmed(history)
            #expect(history.of(free.id).allSatisfy { $0.isServed })
            #expect(limited.servedCount <= 60 + 30, "over the limit and one share")
            system.expectServedOnce(free, history)
            try await system.mend()
            try await system.expectUsage(free)
            try await system.expectUsage(limited)
        }

        /// A write that must be refused as unavailable, and in time.
        private func expectRefusedWrite(
            within bound: Duration,
            sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            let begin = ContinuousClock.now
            let answer = try await system.admin.send("POST", "/v1/apps", ["name": .string(UUID().uuidString)])
            let took = ContinuousClock.now - begin
            #expect(answer.status == 503, "\(answer.response.text)", sourceLocation: sourceLocation)
            #expect(
                answer.json["type"]?.text == "urn:weir:problem:unavailable",
                "\(answer.response.text)",
                sourceLocation: sourceLocation
            )
            #expect(took < bound, "refused after \(took)", sourceLocation: sourceLocation)
        }

        private func version() async throws -> Int64 {
            Int64(try await system.sql("SELECT version FROM configuration")) ?? 0
        }

        @Test func `P1: killed under load, requests go on and writes are refused in time; whole after the restart`()
            async throws
        {
            try await underLoad {
                let before = try await version()
                let postgres = try #require(await system.fleet.postgres)
                await postgres.process.process?.send(SIGKILL)
                // A write that meets the connection's end may fail as well as one that finds none.
                try await expectRefusedWrite(within: .seconds(3))
                try await expectRefusedWrite(within: .seconds(3))
                for node in system.nodes { #expect(await system.readiness(port: node) == 200) }
                #expect(await system.readiness(port: system.fleet.plan.controlPort) == 200)
                await pause(for: .seconds(1 * FaultSystem.stretch))
                try await system.restartPostgres()
                await expectSoon("a write succeeds", within: .seconds(3)) {
                    try await system.admin.send("POST", "/v1/apps", ["name": .string(UUID().uuidString)]).status == 201
                }
                #expect(try await version() == before + 1, "versions are gapless")
            }
        }

        @Test(arguments: [UInt64(1), 2]) func `P2: killed among writes, each acknowledged one is there once`(
            seed: UInt64
        ) async throws {
            var random = SeededGenerator(seed: seed)
            let before = try await version()
            let postgres = try #require(await system.fleet.postgres)
            let killAfter = Duration.milliseconds(Int.random(in: 20...300, using: &random))
            async let killed: Void = {
                await pause(for: killAfter)
                await postgres.process.process?.send(SIGKILL)
                _ = await wait(upTo: .seconds(5)) { await postgres.process.pid == 0 }
                try await system.restartPostgres()
            }()
            // Creates one after another; what was not answered 201 is asked again with its key until it is.
            var names: [String] = []
            for number in 0..<30 {
                let name = "p2-\(seed)-\(number)-\(UUID().uuidString.prefix(8))"
                names.append(name)
                try await create(name)
            }
            try await killed
            let apps = try await system.admin.list("/v1/apps").compactMap { $0["name"]?.text }
            for name in names { #expect(apps.count { $0 == name } == 1, "\(name), seed \(seed)") }
            #expect(try await version() == before + Int64(names.count), "one version for each write, seed \(seed)")
            await expectSoon("all of the outbox is published", within: .seconds(5)) {
                try await system.sql("SELECT count(*) FROM outbox") == "0"
            }
            try await system.mend()
        }

        private func create(_ name: String) async throws {
            let isMade = await wait(upTo: .seconds(15), every: .milliseconds(30)) {
                do {
                    let answer = try await system.admin.send(
                        "POST",
                        "/v1/apps",
                        ["name": .string(name)],
                        headers: [("Idempotency-Key", name)]
                    )
                    return answer.status == 201
                } catch {
                    return false
                }
            }
            try #require(isMade, "\(name) was never acknowledged")
        }

        @Test func `P3: only reading, it answers reads, refuses writes, and no usage is lost`() async throws {
            try await underLoad {
                try await system.sql("ALTER SYSTEM SET default_transaction_read_only = on")
                try await system.sql("SELECT pg_reload_conf()")
                await expectSoon("writes are refused", within: .seconds(3)) {
                    try await system.admin.send("POST", "/v1/apps", ["name": .string(UUID().uuidString)]).status == 503
                }
                #expect(try await system.admin.send("GET", "/v1/apps").status == 200)
                await pause(for: .seconds(1 * FaultSystem.stretch))
                try await system.sql("ALTER SYSTEM RESET default_transaction_read_only")
                try await system.sql("SELECT pg_reload_conf()")
                await expectSoon("writes succeed", within: .seconds(3)) {
                    try await system.admin.send("POST", "/v1/apps", ["name": .string(UUID().uuidString)]).status == 201
                }
            }
        }

        /// The disk is not really full: triggers raise the error that a full one raises, on every table that is written.
        @Test func `P4: out of disk, writes are refused, usage waits, and it heals without hands`() async throws {
            try await underLoad {
                try await raise("53100", on: ["apps", "usage", "audit_log", "configuration"])
                try await expectRefusedWrite(within: .seconds(3))
                #expect(try await system.admin.send("GET", "/v1/apps").status == 200)
                await pause(for: .seconds(1 * FaultSystem.stretch))
                try await stopRaising()
            }
        }

        private func raise(_ code: String, on tables: [String], times: Int? = nil) async throws {
            let condition = times.map { "IF nextval('fault_count') <= \($0) THEN" } ?? "IF true THEN"
            try await system.sql(
                """
                CREATE SEQUENCE fault_count;
                CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    \(condition) RAISE EXCEPTION 'injected' USING ERRCODE = '\(code)'; END IF;
                    RETURN NULL;
                END $$
                """
            )
            for table in tables {
                try await system.sql(
                    """
                    CREATE TRIGGER fault AFTER INSERT OR UPDATE ON \(table) FOR EACH STATEMENT EXECUTE FUNCTION fault()
                    """
                )
            }
        }

        private func stopRaising() async throws {
            try await system.sql("DROP FUNCTION fault CASCADE; DROP SEQUENCE fault_count")
        }

        @Test func `P5: hung, writes are refused within five seconds and requests go on`() async throws {
            try await underLoad {
                for link in system.postgresLinks { try await link.set(.blackHole) }
                try await expectRefusedWrite(within: .seconds(6))
                for node in system.nodes { #expect(await system.readiness(port: node) == 200) }
                let open = try await system.postgresLinks[0].openCount()
                #expect(open <= 40, "the pool is bounded")
                for link in system.postgresLinks { try await link.heal() }
            }
        }

        @Test func `P6: a locked table is waited for no longer than its bound`() async throws {
            async let locked = system.sql("BEGIN; LOCK TABLE apps IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(5); COMMIT")
            await expectSoon("the lock is held", within: .seconds(3)) {
                try await system.sql("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted")
                    != "0"
            }
            try await expectRefusedWrite(within: .milliseconds(4500))
            _ = try await locked
            #expect(try await system.admin.send("POST", "/v1/apps", ["name": "p6-after"]).status == 201)
        }

        @Test(arguments: ["40001", "40P01"]) func `P6: a conflict is tried again, and the write is made once`(
            code: String
        ) async throws {
            let before = try await version()
            try await raise(code, on: ["apps"], times: 2)
            let answer = try await system.admin.send("POST", "/v1/apps", ["name": .string("p6-\(code)")])
            #expect(answer.status == 201, "\(answer.response.text)")
            try await stopRaising()
            #expect(try await version() == before + 1)
        }
    }
}
