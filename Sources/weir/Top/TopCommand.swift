// `weir top`: how a fleet is, live.

import ArgumentParser
import Foundation
import Stack

struct TopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "Shows nodes, versions, rates, refusals and breakers, live.",
        discussion: """
            Asks the control plane which nodes there are, and each node for its /metrics and /readyz?verbose. The admin \
            token comes from the info file of `weir dev`, or from WEIR_ADMIN_TOKEN. q leaves. P50 and P99 are of the time \
            that Weir adds to a request, in milliseconds, by the doublings of /metrics.
            """
    )

    @Option(help: "The info file of `weir dev --info`.") var info: String?
    @Option(help: "The control plane's URL.") var api = "http://127.0.0.1:8070"
    @Option(help: "Seconds between two looks.") var interval = 2.0
    @Flag(help: "Prints what one interval brought, and ends.") var once = false
    @Flag(help: "With --once: as JSON.") var json = false

    func validate() throws {
        guard interval >= 0.2, interval <= 3_600 else { throw ValidationError("--interval: 0.2 to 3600") }
        guard once || !json else { throw ValidationError("--json goes with --once") }
    }

    func run() async throws {
        let (api, token) = try place()
        let source = try TopSource(api: api, token: token)
        var before = await source.read()
        guard !once, Terminal.isThere else {
            try await Task.sleep(for: .seconds(interval))
            let view = TopView(await source.read(), after: before)
            if json {
                print(view.json.pretty)
            } else {
                let frame = TopFrame(columns: 200, lines: .max, hasColours: false)
                print(frame.draw(view, clock: Self.clock).joined(separator: "\n"))
            }
            if view.reading.trouble != nil { throw ExitCode.failure }
            return
        }
        let terminal = Terminal()
        defer { terminal.restore() }
        var view = TopView(before, after: nil)
        let isPlain = ProcessInfo.processInfo.environment["NO_COLOR"].map { !$0.isEmpty } ?? false
        while true {
            let (columns, lines) = terminal.size
            let frame = TopFrame(columns: columns, lines: lines, hasColours: !isPlain)
            terminal.show(frame.draw(view, clock: Self.clock))
            if terminal.isLeft(within: Int32(interval * 1_000)) { return }
            let now = await source.read()
            view = TopView(now, after: before)
            before = now
        }
    }

    private static var clock: String { Date().formatted(.iso8601.time(includingFractionalSeconds: false)) }

    private func place() throws -> (api: String, token: String) {
        if let info {
            guard let bytes = FileManager.default.contents(atPath: info) else {
                throw ValidationError("--info: \(info) cannot be read")
            }
            let control = try JSONValue(parsing: Array(bytes))["control"]
            guard let url = control?["url"]?.text, let token = control?["admin_token"]?.text else {
                throw ValidationError("--info: \(info) is no info file")
            }
            return (url, token)
        }
        guard let token = ProcessInfo.processInfo.environment["WEIR_ADMIN_TOKEN"], !token.isEmpty else {
            throw ValidationError("WEIR_ADMIN_TOKEN is not set; or give --info")
        }
        return (api, token)
    }
}
