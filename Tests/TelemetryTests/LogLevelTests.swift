// Levels that change while a process runs, and lines that repeat themselves.

import Logging
import Synchronization
import Testing

@testable import Telemetry

@Suite struct `Log levels` {
    private final class Lines: Sendable {
        private let lines = Mutex<[String]>([])
        var all: [String] { lines.withLock { $0 } }
        func take(_ line: [UInt8]) { lines.withLock { $0.append(String(decoding: line, as: UTF8.self)) } }
    }

    private func logger(
        _ label: String,
        _ levels: LogLevels,
        _ lines: Lines,
        _ limiter: RepeatLimiter? = nil
    ) -> Logger {
        Logger(label: label) { label in
            JSONLogHandler(label: label, levels: levels, limiter: limiter, sink: { lines.take($0) })
        }
    }

    @Test func `change under loggers that are there, by the longest label that fits, and end`() {
        let (levels, lines) = (LogLevels(), Lines())
        levels.setBase(.warning)
        let (node, access) = (logger("weir.node", levels, lines), logger("weir.access", levels, lines))
        node.info("not yet")
        levels.apply(
            LogLevelSetting(standard: .error, levels: ["weir.": .notice, "weir.node": .debug]),
            for: .seconds(60)
        )
        node.debug("now")
        access.notice("this too")
        access.info("not this")
        logger("other", levels, lines).warning("nor this")
        levels.expire()
        node.debug("still")
        levels.expire(now: .now + .seconds(61))
        node.info("no more")
        node.warning("as before")
        let said = lines.all.compactMap { line in
            line.split(separator: "\"").first {
                $0.hasSuffix("w") || $0 == "this too" || $0 == "still" || $0 == "as before"
            }
        }
        #expect(lines.all.count == 4, "\(lines.all)")
        #expect(said.count == 4)
        var own = logger("weir.own", levels, lines)
        own.logLevel = .trace
        own.trace("of its own")
        #expect(lines.all.count == 5)
    }

    @Test(arguments: ["debug", "weir.node=trace", "debug,weir.access=error,weir.node=trace", ""])
    func `are told as text`(text: String) throws {
        #expect(try #require(LogLevelSetting(text: text)).text == text)
    }

    @Test(arguments: ["loud", "weir=loud", "=debug", "a=debug,a=info", "debug,info", "A=debug", "a=b=debug"])
    func `that are none are refused`(text: String) { #expect(LogLevelSetting(text: text) == nil) }

    @Test func `do not keep a line that repeats itself from being counted`() {
        let limiter = RepeatLimiter(maxLines: 3, window: .seconds(10))
        let start = ContinuousClock.now
        var written = 0
        for _ in 0..<1_000 {
            if case .write = limiter.judge(label: "l", message: "down", now: start) { written += 1 }
        }
        #expect(written == 3)
        #expect(limiter.judge(label: "l", message: "another", now: start) == .write(suppressed: 0))
        #expect(limiter.judge(label: "l", message: "down", now: start + .seconds(10)) == .write(suppressed: 997))
        #expect(limiter.judge(label: "l", message: "down", now: start + .seconds(10)) == .write(suppressed: 0))
    }

    @Test func `bound repeats of what is not debugging, and say how many there were`() {
        let (levels, lines) = (LogLevels(), Lines())
        levels.setBase(.debug)
        let logger = logger("weir.x", levels, lines, RepeatLimiter(maxLines: 2, window: .milliseconds(50)))
        for _ in 0..<10 { logger.warning("down", metadata: ["n": "1"]) }
        for _ in 0..<10 { logger.debug("detail") }
        #expect(lines.all.count == 12)
        let end = ContinuousClock.now + .milliseconds(60)
        while ContinuousClock.now < end {}
        logger.warning("down")
        #expect(lines.all.last?.contains(#""suppressed":8"#) == true)
    }
}
