// `weir demo-upstream`: the flags of the demo model server.

import ArgumentParser
import Foundation

struct DemoUpstreamCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo-upstream",
        abstract: "Serve a deterministic model that speaks OpenAI's and Anthropic's protocols.",
        discussion: """
            Chat completions, completions, embeddings, responses and messages, streaming and not, with usage. \
            With WEIR_DEMO_UPSTREAM_KEY in the environment, requests must carry that key.
            """
    )

    @Option(help: "Address and port to listen on.")
    var listen = "127.0.0.1:8124"

    @Option(help: "Milliseconds between two events of a stream.")
    var eventDelay = 30

    @Option(help: "Names that GET /v1/models lists, separated by commas; any name is answered.")
    var models = "mock,mock-claude,mock-embed"

    func validate() throws {
        guard (0...60_000).contains(eventDelay) else { throw ValidationError("--event-delay: 0 to 60000") }
        _ = try address()
    }

    func run() async throws {
        let (host, port) = try address()
        let upstream = DemoUpstream(
            key: ProcessInfo.processInfo.environment["WEIR_DEMO_UPSTREAM_KEY"],
            eventDelay: .milliseconds(eventDelay),
            models: models.split(separator: ",").map(String.init)
        )
        try await upstream.run(host: host, port: port)
    }

    private func address() throws -> (host: String, port: Int) {
        guard let colon = listen.lastIndex(of: ":"), let port = Int(listen[listen.index(after: colon)...]),
            (1...65_535).contains(port), colon > listen.startIndex
        else { throw ValidationError("--listen: HOST:PORT, not '\(listen)'") }
        return (String(listen[..<colon]), port)
    }
}
