// `weir dev`: everything on one machine, for people and for benchmarks. The flags, and the order of events: start, demo,
// then serve until a signal, or end.

import ArgumentParser
import Foundation
import Glibc
import Stack

struct DevCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dev",
        abstract: "Run PostgreSQL, Redis, the control plane, gateways and a demo model, and show them at work.",
        discussion: """
            With OPENAI_API_KEY or ANTHROPIC_API_KEY in the environment, that provider is registered too. With \
            --upstream, WEIR_UPSTREAM_KEY is its credential.
            """
    )

    @Flag(help: "Run the demo, then stop; the status is 0 only if the demo really worked.")
    var once = false

    @Option(help: "Write where everything is to this file, as JSON, when it is ready.")
    var info: String?

    @Option(help: "How many gateway nodes, 1 to \(DevPorts.maxGateways).")
    var gateways = 2

    @Option(help: "Gateways listen from this port on; the other parts on the base + 16 to + 19.")
    var portBase = 8080

    @Option(help: "Where the deployment's keys, logs and data are kept.")
    var data = ".weir/dev"

    @Option(help: "An OpenAI-compatible base URL in place of the demo upstream.")
    var upstream: String?

    @Option(help: "Public names to register for --upstream, separated by commas.")
    var models = "mock"

    func validate() throws {
        guard DevPorts(base: portBase, gateways: gateways) != nil else {
            throw ValidationError(
                "--gateways: 1 to \(DevPorts.maxGateways); --port-base: 1024 to 65516"
            )
        }
        guard !modelNames.isEmpty else { throw ValidationError("--models: at least one name") }
        if let upstream, !upstream.hasPrefix("http://"), !upstream.hasPrefix("https://") {
            throw ValidationError("--upstream: a base URL such as http://127.0.0.1:18080/v1")
        }
    }

    private var modelNames: [String] { models.split(separator: ",").map(String.init) }

    private enum Event: Sendable {
        case started
        case failed(StackError)
        case interrupted
    }

    func run() async throws {
        let (events, out) = AsyncStream.makeStream(of: Event.self)
        let interrupts = Interrupts { count in
            // Out of patience: the kernel kills the children.
            if count > 1 { _exit(130) }
            out.yield(.interrupted)
        }
        let status = await serve(events, out)
        withExtendedLifetime(interrupts) {}
        if status != 0 { throw ExitCode(status) }
    }

    private func serve(_ events: AsyncStream<Event>, _ out: AsyncStream<Event>.Continuation) async -> Int32 {
        let stack: DevStack
        do throws(StackError) {
            stack = try await DevStack(try options())
        } catch {
            Console.complain("\(error)")
            return 1
        }
        Task {
            do throws(StackError) {
                try await stack.start()
                out.yield(.started)
            } catch {
                out.yield(.failed(error))
            }
        }
        var status: Int32 = 130
        loop: for await event in events {
            switch event {
            case .started:
                status = 0
                if once { break loop }
                Console.line("\nServing until Ctrl-C.")
            case .failed(let error):
                Console.complain("\(error)")
                status = 1
                break loop
            case .interrupted: break loop
            }
        }
        Console.line("\nStopping…")
        await stack.stop()
        Console.line("Stopped.")
        return status
    }

    private func options() throws(StackError) -> DevOptions {
        guard let ports = DevPorts(base: portBase, gateways: gateways) else { throw .other("no such ports") }
        let environment = ProcessInfo.processInfo.environment
        func secret(_ name: String) -> String? {
            guard let value = environment[name], !value.isEmpty else { return nil }
            return value
        }
        let chosen = upstream.map { url in
            let base = url.hasSuffix("/") ? String(url.dropLast()) : url
            return DevOptions.Upstream(url: base, models: modelNames, credential: secret("WEIR_UPSTREAM_KEY"))
        }
        return DevOptions(
            ports: ports,
            directory: DevOptions.absolute(data),
            upstream: chosen,
            infoFile: info.map { DevOptions.absolute($0) },
            endsAfterDemo: once,
            openAIKey: secret("OPENAI_API_KEY"),
            anthropicKey: secret("ANTHROPIC_API_KEY")
        )
    }
}
