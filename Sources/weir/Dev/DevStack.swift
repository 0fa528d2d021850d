// The stack behind `weir dev`: a fleet, the demo upstream, the demo's resources, and the info file that follows them
// when a part was restarted.

import Foundation
import Stack

/// Runs a development stack.
actor DevStack {
    private let options: DevOptions
    private let fleet: Fleet
    private let upstream: SupervisedProcess?
    private let lock: DirectoryLock
    private var app: DemoApp?
    private var isStopping = false

    /// - Throws: when the data directory is another stack's, a port is taken or a program is missing.
    init(_ options: DevOptions) async throws(StackError) {
        self.options = options
        lock = try DirectoryLock(options.directory)
        if let file = options.infoFile { try InfoFile.remove(file) }
        for (port, part) in options.ports.named(withUpstream: options.upstream == nil) where !FreePort.isFree(port) {
            throw .portTaken(port: port, purpose: part)
        }
        let control = try Program.beside("weir-control")
        _ = try Program.beside("weir-gateway")
        let restarted = Restarted()
        var plan = FleetPlan(
            directory: options.directory,
            gatewayPorts: options.ports.gateways,
            controlPort: options.ports.control,
            redisPort: options.ports.redis,
            postgresPort: options.ports.postgres,
            programs: URL(fileURLWithPath: control).deletingLastPathComponent().path,
            isDurable: true,
            restarts: Restarts()
        )
        // Where telemetry goes is for the programs to read, and they start with no more of our environment than is named.
        plan.programEnvironment = ProcessInfo.processInfo.environment.filter { name, _ in
            name.utf8.starts(with: "OTEL_".utf8)
        }
        fleet = try Fleet(plan) { event in
            Self.report(event)
            if case .changed(_, .restarted) = event { restarted.tell() }
        }
        if options.upstream == nil {
            upstream = Self.demoUpstream(options, key: fleet.keys.upstreamKey)
        } else {
            upstream = nil
        }
        restarted.stack = { [weak self] in await self?.writeInfo() }
    }

    /// Starts everything, makes the demo's resources and sends the demo's request.
    func start() async throws(StackError) {
        Console.line("Starting Weir in \(options.directory)")
        if let upstream {
            let begin = ContinuousClock.now
            try await upstream.start()
            Console.step("demo-upstream", "127.0.0.1:\(options.ports.upstream)", took: ContinuousClock.now - begin)
        }
        try await fleet.start()
        if let place = await fleet.postgres?.directory, !place.hasPrefix(options.directory) {
            Console.step("", "user postgres may not enter \(options.directory); its data is in \(place)")
        }
        try await awaitLiveNodes()
        Console.line("\nThe demo's providers, models and policies:")
        let resources = DemoResources(admin: fleet.admin, options: options, keys: fleet.keys)
        let app = try await resources.ensure()
        try await awaitApplied()
        let call = DemoCall(gateway: fleet.gatewayURLs[0], admin: fleet.admin, app: app, model: options.demoModel)
        self.app = app
        do throws(StackError) {
            try await call.run()
        } catch {
            // With `--once` the demo is the point. Otherwise the stack is: a foreign upstream may be down, or may not
            // stream, and that is worth a line and not the end.
            if options.endsAfterDemo { throw error }
            Console.complain("the demo request did not work: \(error)")
        }
        await writeInfo()
        Snippets(
            gateway: fleet.gatewayURLs[0],
            control: fleet.controlURL,
            adminToken: fleet.keys.adminToken,
            key: app.key,
            model: options.demoModel
        ).show()
    }

    /// Stops everything and waits for its end.
    func stop() async {
        isStopping = true
        await fleet.stop()
        await upstream?.stop()
        if let file = options.infoFile, !options.endsAfterDemo {
            do throws(StackError) {
                try InfoFile.remove(file)
            } catch {
                Console.complain("\(error)")
            }
        }
    }

    /// Called when the stack became ready and after each restart of a part.
    func writeInfo() async {
        guard let app, let file = options.infoFile, !isStopping else { return }
        var gateways: [(url: String, pid: Int32)] = []
        for (index, gateway) in await fleet.gateways.enumerated() {
            gateways.append((fleet.gatewayURLs[index], await gateway.pid))
        }
        let info = InfoFile(
            controlURL: fleet.controlURL,
            controlPID: await fleet.control?.pid ?? 0,
            adminToken: fleet.keys.adminToken,
            gateways: gateways,
            redis: (options.ports.redis, await fleet.redis?.process.pid ?? 0),
            postgres: (options.ports.postgres, await fleet.postgres?.process.pid ?? 0),
            upstreamURL: options.upstreamURL,
            app: (app.id, app.key)
        )
        do throws(StackError) {
            try info.write(to: file)
        } catch {
            Console.complain("\(error)")
        }
    }

    /// The nodes must be known before a write can wait for them.
    private func awaitLiveNodes() async throws(StackError) {
        let wanted = Int64(options.ports.gateways.count)
        try await awaitSnapshot("\(wanted) live nodes") { $0["live_nodes"]?.int ?? 0 >= wanted }
    }

    private func awaitApplied() async throws(StackError) {
        let wanted = Int64(options.ports.gateways.count)
        try await awaitSnapshot("all nodes to apply the newest snapshot") { current in
            current["live_nodes"]?.int ?? 0 >= wanted && current["applied_nodes"] == current["live_nodes"]
        }
        let current = try await fleet.admin.call("GET", "/v1/snapshots/current")
        Console.step(
            "snapshot",
            "version \(current["version"]?.int ?? 0) applied on \(current["applied_nodes"]?.int ?? 0) nodes"
        )
    }

    private func awaitSnapshot(
        _ what: String,
        until condition: (JSONValue) -> Bool
    ) async throws(StackError) {
        let end = ContinuousClock.now + .seconds(20)
        while true {
            let current = try await fleet.admin.call("GET", "/v1/snapshots/current")
            if condition(current) { return }
            guard ContinuousClock.now < end else { throw .other("waited 20 s for \(what): \(current.pretty)") }
            await pause(for: .milliseconds(20))
        }
    }

    private static func demoUpstream(_ options: DevOptions, key: String) -> SupervisedProcess {
        let url = "http://127.0.0.1:\(options.ports.upstream)"
        let specification = ProcessSpecification(
            name: "demo-upstream",
            executable: Program.ownPath,
            arguments: ["demo-upstream", "--listen", "127.0.0.1:\(options.ports.upstream)"],
            environment: ["WEIR_DEMO_UPSTREAM_KEY": key],
            logFile: "\(options.directory)/logs/demo-upstream.log"
        )
        return SupervisedProcess(
            specification,
            restarts: Restarts(),
            probe: { _ in
                do throws(StackError) {
                    return try await LoopbackClient.send(LoopbackRequest("GET", "\(url)/healthz")).status == 200
                } catch {
                    return false  // not listening yet
                }
            },
            onEvent: { Self.report(.changed("demo-upstream", $0)) }
        )
    }

    private static func report(_ event: Fleet.Event) {
        switch event {
        case .starting: break
        case .ready(let name, let port, let took): Console.step(name, "127.0.0.1:\(port)", took: took)
        case .changed(let name, .died(let status, let delay)):
            Console.step(name, "ended (\(status)); starting it again in \(delay)")
        case .changed(let name, .restarted(let pid)): Console.step(name, "runs again, pid \(pid)")
        case .changed(let name, .restartFailed(let reason)): Console.step(name, "did not start: \(reason)")
        }
    }
}
