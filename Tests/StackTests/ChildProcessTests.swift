// What supervision promises: nothing outlives us, nothing is signalled that is not ours, and every end is seen.

import Foundation
import Glibc
import Stack
import Testing

@Suite struct `A child process` {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory(prefix: "weir-child") }

    private func shell(_ script: String, name: String = "child") -> ProcessSpecification {
        ProcessSpecification(
            name: name,
            executable: "/bin/sh",
            arguments: ["-c", script],
            logFile: "\(directory.path)/\(name).log"
        )
    }

    @Test func `reports how it ended`() async throws {
        #expect(await (try ChildProcess.start(shell("exit 7"))).exit() == .code(7))
        #expect(await (try ChildProcess.start(shell("kill -9 $$"))).exit() == .signal(9))
    }

    @Test func `writes what it says to its log, both streams in order`() async throws {
        let child = try await ChildProcess.start(shell("echo one; echo two >&2; echo three"))
        _ = await child.exit()
        let log = try String(contentsOfFile: child.specification.logFile, encoding: .utf8)
        #expect(log == "one\ntwo\nthree\n")
    }

    @Test func `sees only the environment it was given`() async throws {
        unsafe setenv("WEIR_TEST_SECRET", "not for children", 1)
        var specification = shell("env")
        specification.environment = ["WEIR_GIVEN": "yes"]
        let child = try await ChildProcess.start(specification)
        _ = await child.exit()
        let log = try String(contentsOfFile: child.specification.logFile, encoding: .utf8)
        #expect(log.contains("WEIR_GIVEN=yes"))
        #expect(!log.contains("WEIR_TEST_SECRET"))
    }

    @Test func `stops on its stop signal`() async throws {
        let child = try await ChildProcess.start(shell("trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done"))
        #expect(await waitForLog(of: child, holding: "up"))
        #expect(await child.stop(grace: .seconds(5)) == .code(3))
    }

    @Test func `is killed when it will not stop, with everything it started`() async throws {
        let child = try await ChildProcess.start(shell("trap '' TERM; sleep 300 & echo $!; wait; while :; do :; done"))
        #expect(await waitForLog(of: child, holding: "\n"))
        let log = try String(contentsOfFile: child.specification.logFile, encoding: .utf8)
        let grandchild = try #require(Int32(log.trimmingCharacters(in: .whitespacesAndNewlines)))
        #expect(await child.stop(grace: .milliseconds(100)) == .signal(SIGKILL))
        #expect(await wait(upTo: .seconds(5)) { !isAlive(grandchild) })
    }

    @Test func `dies when its owner is killed`() async throws {
        // The owner is a shell here: the death signal is set by the same setpriv call in ChildProcess.
        let owner = try await ChildProcess.start(
            shell("setpriv --pdeathsig KILL -- sleep 300 & echo $!; wait", name: "owner")
        )
        #expect(await waitForLog(of: owner, holding: "\n"))
        let log = try String(contentsOfFile: owner.specification.logFile, encoding: .utf8)
        let grandchild = try #require(Int32(log.trimmingCharacters(in: .whitespacesAndNewlines)))
        owner.send(SIGKILL)
        _ = await owner.exit()
        #expect(await wait(upTo: .seconds(5)) { !isAlive(grandchild) })
    }

    @Test func `outlives the thread pool's threads that come and go`() async throws {
        // What broke in a sketch: the death signal is sent when the spawning *thread* ends.
        let child = try await Task.detached { [specification = shell("sleep 300")] in
            try await ChildProcess.start(specification)
        }.value
        await pause(for: .milliseconds(200))
        #expect(child.exitStatus == nil)
        await child.stop(grace: .seconds(1))
    }

    private func waitForLog(of child: ChildProcess, holding text: String) async -> Bool {
        let path = child.specification.logFile
        return await wait(upTo: .seconds(5)) {
            guard let bytes = FileManager.default.contents(atPath: path) else { return false }
            return String(decoding: bytes, as: UTF8.self).contains(text)
        }
    }
}

/// A zombie counts as gone: who reaps an orphan is not ours to say.
private func isAlive(_ pid: Int32) -> Bool {
    guard let bytes = FileManager.default.contents(atPath: "/proc/\(pid)/stat") else { return false }
    return !String(decoding: bytes, as: UTF8.self).contains(") Z ")
}

@Suite struct `A supervised process` {
    @Test func `is started again when it dies, and not when it is stopped`() async throws {
        let directory = try TemporaryDirectory(prefix: "weir-supervised")
        let specification = ProcessSpecification(
            name: "sleeper",
            executable: "/bin/sleep",
            arguments: ["300"],
            logFile: "\(directory.path)/log"
        )
        let process = SupervisedProcess(
            specification,
            restarts: Restarts(first: .milliseconds(10)),
            probe: { _ in true }
        )
        try await process.start()
        let first = await process.pid
        #expect(kill(first, SIGKILL) == 0)
        #expect(
            await wait(upTo: .seconds(5)) {
                let pid = await process.pid
                return pid != 0 && pid != first
            }
        )
        let second = await process.pid
        await process.stop()
        #expect(await process.pid == 0)
        #expect(!isAlive(second))
        await pause(for: .milliseconds(100))
        #expect(await process.pid == 0)
    }

    @Test func `says why it could not start, with the end of its log`() async throws {
        let directory = try TemporaryDirectory(prefix: "weir-supervised")
        let specification = ProcessSpecification(
            name: "broken",
            executable: "/bin/sh",
            arguments: ["-c", "echo no such database; exit 4"],
            logFile: "\(directory.path)/log"
        )
        let process = SupervisedProcess(specification, probe: { _ in false })
        await #expect(
            throws: StackError.exitedEarly(name: "broken", status: "exit code 4", logTail: "    no such database")
        ) {
            try await process.start()
        }
    }
}

@Suite struct `Pauses between restarts` {
    @Test func `double up to a bound and begin anew after a healthy run`() {
        var restarts = Restarts(first: .seconds(1), longest: .seconds(5), healthyAfter: .seconds(60))
        #expect((0..<5).map { _ in restarts.died(after: .zero) } == [1, 2, 4, 5, 5].map { .seconds($0) })
        #expect(restarts.died(after: .seconds(60)) == .seconds(1))
        #expect(restarts.died(after: .zero) == .seconds(2))
    }
}
