// The alerts and panels that operators are given ask for labels; whether series have them only a real page can say.

import Foundation
import Stack
import Testing

extension EndToEnd {
    @Suite struct `Alerts and panels` {
        private let system: WholeSystem

        init() throws { system = try WholeSystem.running }

        /// What a series has been seen with: its labels and their values.
        private typealias Labels = [String: Set<String>]

        private func page() async throws -> [String: Labels] {
            var seen: [String: Labels] = [:]
            for url in system.gateways + [system.fleet.controlURL] {
                let page = try await LoopbackClient.send(LoopbackRequest("GET", "\(url)/metrics"))
                for line in String(decoding: page.body, as: UTF8.self).split(separator: "\n") where line.first != "#" {
                    let name = String(line.prefix { $0 != "{" && $0 != " " })
                    seen[name, default: [:]].merge(Self.matchers(line.dropFirst(name.count))) { $0.union($1) }
                }
            }
            return seen
        }

        /// The `label="value"` pairs of a text, and those with `=~`, whose alternatives are told apart.
        private static func matchers(_ text: Substring) -> Labels {
            var labels: Labels = [:]
            for match in text.matches(of: #/(\w+)!?=(~?)"([^"]*)"/#) {
                let values = match.2.isEmpty ? [String(match.3)] : match.3.split(separator: "|").map(String.init)
                labels[String(match.1), default: []].formUnion(values)
            }
            return labels
        }

        /// The labels that docs/telemetry.md lists for a metric; for those that nothing in this run has brought about.
        private static func documented(_ telemetry: String) -> [String: Set<String>] {
            var labels: [String: Set<String>] = [:]
            for line in telemetry.split(separator: "\n") where line.hasPrefix("| `") {
                let columns = line.split(separator: "|", omittingEmptySubsequences: false)
                guard columns.count > 4 else { continue }
                let named = columns[3].matches(of: #/`([\w.]+)`/#).map { String($0.1.replacing(".", with: "_")) }
                for metric in columns[1].matches(of: #/`([\w.]+)`/#) {
                    labels[String(metric.1.replacing(".", with: "_")), default: []].formUnion(named)
                }
            }
            return labels
        }

        /// Of those that Prometheus adds, or that every histogram has.
        private static let ofPrometheus: Set<String> = ["job", "instance", "le"]

        /// Labels that an expression asks of series which have none such, and values that a label never has.
        private static func misses(
            _ expression: Substring,
            _ page: [String: Labels],
            _ documented: [String: Set<String>]
        ) -> (misses: [String], compared: Int) {
            var misses: [String] = []
            var compared = 0
            var asked: [String] = []
            func isDocumented(_ label: String, of name: String) -> Bool {
                documented.contains { name.hasPrefix($0.key) && $0.value.contains(label) }
            }
            for match in expression.matches(of: #/([a-z][a-z_]+_[a-z_]+)\{([^}]*)\}/#) {
                let name = String(match.1)
                asked.append(name)
                for (label, values) in matchers(match.2) where !ofPrometheus.contains(label) {
                    guard let seen = page[name]?[label] else {
                        if !isDocumented(label, of: name) { misses.append("\(name) has no label \(label)") }
                        continue
                    }
                    compared += 1
                    // Of patterns and of what has not happened the page says nothing.
                    for value in values where value.allSatisfy({ $0.isLetter || $0 == "_" }) && !seen.contains(value) {
                        misses.append("\(name) has no \(label) \(value)")
                    }
                }
            }
            for match in expression.matches(of: #/by \(([^)]*)\)/#) {
                for label in match.1.split(separator: ",").map({ $0.trimmingCharacters(in: .whitespaces) })
                where !ofPrometheus.contains(label) {
                    let isThere = asked.contains { page[$0]?[label] != nil || isDocumented(label, of: $0) }
                    if !isThere { misses.append("no series of \(asked) has the label \(label)") }
                    compared += 1
                }
            }
            return (misses, compared)
        }

        private struct Dashboard: Decodable {
            struct Target: Decodable { let expr: String }
            struct Panel: Decodable { let targets: [Target]? }
            let panels: [Panel]
        }

        @Test func `ask for no label and no value that series do not have`() async throws {
            let app = try await system.makeApp([("rate_limit", ["limit": 1, "window": "31d"])])
            _ = try await app.send(chat("Label me", ["stream": true]))
            #expect(try await app.send(chat("Again")).status == 429)
            let page = try await page()
            let documented = Self.documented(try WholeSystem.documentation("telemetry.md"))
            #expect(documented["weir_policy_violations"] == ["reason"] && page["weir_requests_total"] != nil)
            let dashboard = try WholeSystem.documentation("dashboards/weir.json")
            let panels = try JSONDecoder().decode(Dashboard.self, from: Data(dashboard.utf8))
            let alerts = try WholeSystem.documentation("alerts/weir.rules.yml").split(separator: "- alert:").dropFirst()
            let expressions = alerts + panels.panels.flatMap { $0.targets ?? [] }.map { $0.expr[...] }
            var compared = 0
            for expression in expressions {
                let found = Self.misses(expression, page, documented)
                #expect(found.misses.isEmpty, "\(expression)")
                compared += found.compared
            }
            #expect(compared > 30)
            for wrong in [
                #"weir_requests_total{result="refused"}"#, #"weir_requests_total{outcome="rejected"}"#,
                #"sum by (status) (weir_requests_total{job="weir-gateway"})"#,
            ] { #expect(Self.misses(wrong[...], page, documented).misses.count == 1, "\(wrong)") }
        }
    }
}
