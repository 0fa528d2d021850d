// What operators are given is tried: rules are loaded and made to fire by promtool, every metric that an alert or a panel
// names is one that the programs have, and every run book is there.

import Foundation
import Stack
import Testing

@Suite struct `What operators are given` {
    private static let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().path

    private static func text(_ path: String) throws -> String {
        let bytes = try #require(FileManager.default.contents(atPath: "\(root)/\(path)"), "\(path) is not there")
        return String(decoding: bytes, as: UTF8.self)
    }

    private func promtool(_ arguments: [String]) async throws -> (isFine: Bool, text: String) {
        let directory = try TemporaryDirectory(prefix: "weir-promtool")
        let specification = ProcessSpecification(
            name: "promtool",
            executable: try Program.find("promtool", hint: "apt-get install prometheus"),
            arguments: arguments,
            workingDirectory: "\(Self.root)/docs/alerts",
            logFile: "\(directory.path)/log"
        )
        let status = try await ChildProcess.start(specification).exit()
        let log = FileManager.default.contents(atPath: specification.logFile) ?? Data()
        return (status == .code(0), String(decoding: log, as: UTF8.self))
    }

    private static func alerts() throws -> [String] {
        try text("docs/alerts/weir.rules.yml").matches(of: #/- alert: (\w+)/#).map { String($0.1) }
    }

    @Test func `has alerts that load, fire on what they are for, and keep quiet on what is usual`() async throws {
        let checked = try await promtool(["check", "rules", "weir.rules.yml"])
        #expect(checked.isFine, "\(checked.text)")
        let tested = try await promtool(["test", "rules", "weir.test.yml"])
        #expect(tested.isFine, "\(tested.text)")
        let alerts = try Self.alerts()
        #expect(alerts.count > 20 && Set(alerts).count == alerts.count)
        let tests = try Self.text("docs/alerts/weir.test.yml")
        for alert in alerts {
            for kind in ["fires", "keeps quiet"] {
                #expect(tests.contains("- name: \(alert) \(kind)\n"), "\(alert) is not tried")
            }
        }
    }

    @Test func `has a promtool that can fail`() async throws {
        let directory = try TemporaryDirectory(prefix: "weir-promtool")
        let rules = try Self.text("docs/alerts/weir.rules.yml").replacing(
            "weir_redis_may_evict",
            with: "weir_redis_may"
        )
        try Data(rules.utf8).write(to: URL(fileURLWithPath: "\(directory.path)/weir.rules.yml"))
        let tests = try Self.text("docs/alerts/weir.test.yml")
        try Data(tests.utf8).write(to: URL(fileURLWithPath: "\(directory.path)/weir.test.yml"))
        let tested = try await promtool(["test", "rules", "\(directory.path)/weir.test.yml"])
        #expect(!tested.isFine && tested.text.contains("WeirRedisMayEvict"))
    }

    /// The metrics that docs/telemetry.md lists, which the end-to-end suite compares with what is exported, under the
    /// names that Prometheus may know them by.
    private static func knownMetrics() throws -> Set<String> {
        var known: Set<String> = ["up", "ALERTS"]
        for match in try text("docs/telemetry.md").matches(of: #/`([a-z_]+(?:\.[a-z_]+)+)`/#) {
            let name = String(match.1).replacing(".", with: "_")
            for unit in ["", "_seconds", "_bytes"] {
                for suffix in ["", "_total", "_bucket", "_sum", "_count"] { known.insert(name + unit + suffix) }
            }
        }
        return known
    }

    private static func metrics(in expression: String) -> Set<String> {
        // Names stand before a brace, a bracket or an end; labels, functions and variables do not.
        let plain = expression.replacing(#/\{[^}]*\}/#, with: "{}").replacing(#/by \([^)]*\)/#, with: "")
        return Set(plain.matches(of: #/[a-z_]{3,}_[a-z_]+|\bup\b/#).map { String($0.0) }).filter { name in
            !["histogram_quantile", "min_over_time", "__rate_interval"].contains(name) && !name.hasPrefix("__")
        }
    }

    private struct Dashboard: Decodable {
        struct Target: Decodable { let expr: String }
        struct Panel: Decodable {
            let id: Int
            let title: String
            let targets: [Target]?
        }
        let panels: [Panel]
    }

    private static func dashboard() throws -> Dashboard {
        try JSONDecoder().decode(Dashboard.self, from: Data(text("docs/dashboards/weir.json").utf8))
    }

    @Test func `names no metric that there is not`() throws {
        let known = try Self.knownMetrics()
        #expect(known.contains("weir_policy_check_duration_seconds_bucket") && known.count > 500)
        let rules = try Self.text("docs/alerts/weir.rules.yml")
        let expressions = rules.split(separator: "- alert:").dropFirst().map { block in
            String(block[(block.range(of: "expr:")?.upperBound ?? block.startIndex)...].prefix { _ in true })
                .components(separatedBy: "labels:")[0].replacing(#/for: \w+/#, with: "")
        }
        var named: Set<String> = []
        for expression in expressions { named.formUnion(Self.metrics(in: expression)) }
        for panel in try Self.dashboard().panels {
            for target in panel.targets ?? [] { named.formUnion(Self.metrics(in: target.expr)) }
        }
        #expect(named.count > 50)
        #expect(named.subtracting(known) == [])
        #expect(Self.metrics(in: #"sum by (le) (rate(weir_made_up_total{a="b"}[5m]))"#) == ["weir_made_up_total"])
    }

    @Test func `has panels whose expressions Prometheus understands`() async throws {
        let panels = try Self.dashboard().panels
        #expect(Set(panels.map(\.id)).count == panels.count)
        var rules = "groups:\n  - name: panels\n    rules:\n"
        var count = 0
        for target in panels.flatMap({ $0.targets ?? [] }) {
            count += 1
            let expression = target.expr.replacing("$__rate_interval", with: "5m").replacing("$instance", with: ".*")
            rules += "      - {record: panel_\(count), expr: '\(expression)'}\n"
        }
        #expect(count > 50)
        let directory = try TemporaryDirectory(prefix: "weir-panels")
        try Data(rules.utf8).write(to: URL(fileURLWithPath: "\(directory.path)/panels.yml"))
        let checked = try await promtool(["check", "rules", "\(directory.path)/panels.yml"])
        #expect(checked.isFine, "\(checked.text)")
    }

    /// How GitHub and others make an anchor of a heading.
    private static func anchor(_ heading: Substring) -> String {
        heading.lowercased().filter { $0.isLetter || $0.isNumber || $0 == " " || $0 == "-" }.replacing(" ", with: "-")
    }

    @Test func `has a run book for every alert and for every fault`() throws {
        let operations = try Self.text("docs/operations.md")
        let books = operations.matches(of: #/\n### ([^\n]+)/#).map(\.1)
        let anchors = Set(books.map(Self.anchor))
        let rules = try Self.text("docs/alerts/weir.rules.yml")
        let links = rules.matches(of: #/runbook: docs\/operations.md#([a-z0-9-]+)/#).map { String($0.1) }
        #expect(links.count == (try Self.alerts().count))
        for link in links { #expect(anchors.contains(link), "there is no run book \(link)") }
        for alert in try Self.alerts() { #expect(operations.contains(alert), "\(alert) is in no run book") }
        // Rows of the matrix as run books name them: "*R1, R2, R10.*"
        let covered = Set(
            operations.matches(of: #/\n\*([A-Z][^*]+)\.\*/#).flatMap { $0.1.components(separatedBy: ", ") }
        )
        let matrix = try Self.text("docs/faults.md").matches(of: #/\n\| ([A-Z]\d+(?:(?:, |–)[A-Z]\d+)*) [^|]*\|/#)
        let rows = Set(matrix.flatMap { $0.1.components(separatedBy: ", ") })
        #expect(rows.count > 40)
        #expect(rows.subtracting(covered) == [], "faults without a run book")
        #expect(covered.subtracting(rows).subtracting(["N4", "both down"]) == [], "run books for no fault")
    }
}
