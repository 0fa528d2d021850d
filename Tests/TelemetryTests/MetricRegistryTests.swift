// The metrics page is read by Prometheus: its text is pinned whole.

import Synchronization
import Testing

@testable import Telemetry

@Suite struct `The metrics` {
    @Test func `render as Prometheus text, sorted, cells of a series summed`() {
        let metrics = MetricRegistry()
        let first = metrics.counter("weir.requests", help: "requests", labels: [MetricLabel("outcome", "ok")])
        let second = metrics.counter("weir.requests", help: "requests", labels: [MetricLabel("outcome", "ok")])
        let refused = metrics.counter(
            "weir.requests",
            help: "requests",
            labels: [MetricLabel("outcome", "re\"fu\\sed\n")]
        )
        let open = metrics.gauge("weir.connections", help: "open now\nclient side")
        metrics.observe("weir.snapshot.version", help: "enforced") { 42 }
        metrics.observeTotal("weir.fetches", help: "fetches") { 3 }
        first.add()
        second.add(2)
        refused.add(5)
        open.add(-3)
        open.add(1)
        #expect(
            String(decoding: metrics.render(), as: UTF8.self) == #"""
                # HELP weir_connections open now\nclient side
                # TYPE weir_connections gauge
                weir_connections -2
                # HELP weir_fetches_total fetches
                # TYPE weir_fetches_total counter
                weir_fetches_total 3
                # HELP weir_requests_total requests
                # TYPE weir_requests_total counter
                weir_requests_total{outcome="ok"} 3
                weir_requests_total{outcome="re\"fu\\sed\n"} 5
                # HELP weir_snapshot_version enforced
                # TYPE weir_snapshot_version gauge
                weir_snapshot_version 42

                """#
        )
    }

    @Test func `lose nothing when many threads count`() async {
        let metrics = MetricRegistry()
        await withTaskGroup { group in
            for _ in 0..<8 {
                group.addTask {
                    let cell = metrics.counter("weir.x", help: "x")
                    for _ in 0..<10_000 { cell.add() }
                }
            }
        }
        #expect(String(decoding: metrics.render(), as: UTF8.self).contains("weir_x_total 80000\n"))
    }

    @Test func `bound their series and say how many were refused`() {
        let metrics = MetricRegistry()
        for index in 0..<(MetricRegistry.maxSeries + 10) {
            metrics.counter("weir.x", help: "x", labels: [MetricLabel("i", String(index))]).add()
        }
        let text = String(decoding: metrics.render(), as: UTF8.self)
        #expect(text.split(separator: "\n").filter { $0.hasPrefix("weir_x_total{") }.count == MetricRegistry.maxSeries)
        #expect(text.contains("weir_metrics_refused_series_total 10\n"))
    }

    @Test func `trap on a name that Prometheus would refuse`() async {
        await #expect(processExitsWith: .failure) { _ = MetricRegistry().counter("bad name", help: "x") }
        await #expect(processExitsWith: .failure) { _ = MetricRegistry().gauge("1x", help: "x") }
    }
}
