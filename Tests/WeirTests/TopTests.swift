// The screen of `weir top`: what it reads, what it makes of two looks, and how that is drawn.

import Stack
import Testing

@testable import weir

@Suite struct `weir top` {
    private func page(requests: Int, refused: Int, fast: Int, slow: Int) -> MetricsPage {
        MetricsPage(
            """
            # HELP weir_requests_total requests
            # TYPE weir_requests_total counter
            weir_requests_total{outcome="completed"} \(requests)
            weir_requests_total{outcome="refused"} \(refused)
            weir_requests_total{outcome="upstream_failed"} 0
            weir_policy_violations_total{reason="rate_limited"} \(refused)
            weir_gateway_overhead_duration_seconds_bucket{le="0.000244140625"} \(fast)
            weir_gateway_overhead_duration_seconds_bucket{le="0.0009765625"} \(fast + slow)
            weir_gateway_overhead_duration_seconds_bucket{le="+Inf"} \(fast + slow)
            weir_usage_queued 7
            a line that is none
            odd{a="b\\"c,d\\\\",e="x"} 2.5
            """
        )
    }

    private func node(_ id: String, _ page: MetricsPage?, version: Int64 = 17, isLive: Bool = true) -> TopReading.Node {
        TopReading.Node(id: id, url: "u", version: version, isLive: isLive, refusal: nil, page: page)
    }

    @Test func `reads a page of metrics as Prometheus would`() {
        let page = page(requests: 3, refused: 2, fast: 1, slow: 1)
        #expect(page.sum("weir_requests_total") == 5)
        #expect(page.sum("weir_requests_total", where: "outcome", in: ["refused"]) == 2)
        #expect(page["odd"] == [MetricsPage.Sample(labels: ["a": "b\"c,d\\", "e": "x"], value: 2.5)])
        #expect(page.buckets("weir_gateway_overhead_duration_seconds")[.infinity] == 2)
        #expect(page.sum("none") == 0)
    }

    private func view() -> TopView {
        var before = TopReading(time: 10)
        before.nodes = [node("gateway-1", page(requests: 100, refused: 10, fast: 90, slow: 0)), node("gateway-2", nil)]
        var now = TopReading(time: 12)
        now.version = 17
        now.lineage = "abcdef0123456789"
        var first = node("gateway-1", page(requests: 300, refused: 16, fast: 280, slow: 10))
        first.breakers = [("redis", "open", "timeout"), ("control", "closed", "")]
        // It was started anew: its counters began again.
        let second = node("gateway-2", page(requests: 5, refused: 0, fast: 5, slow: 0), version: 16)
        // It cannot be reached from here: what the control plane heard of it stands in.
        var third = node("gateway-3", nil)
        third.report = TopReading.Report(requests: 12.5, refusals: 1, errors: nil, queued: 3)
        third.breakers = [("provider:openai", "half-open", "timed out")]
        now.nodes = [first, second, third, node("gateway-4", nil, isLive: false)]
        return TopView(now, after: before)
    }

    @Test func `tells rates, quantiles and states of the time between two looks`() {
        let view = view()
        let row = view.rows[0]
        #expect(row.requests == 103 && row.refusals == 3 && row.errors == 0 && row.queued == 7)
        #expect(row.overheadP50 == 0.244140625 && row.overheadP99 == 0.9765625)
        #expect(view.rows.map(\.state) == ["ok", "behind", "no answer", "gone"])
        #expect(view.reasons.map(\.reason) == ["rate_limited"] && view.reasons[0].rate == 3)
        #expect(view.json["nodes"]?[0]?["breakers"] == ["redis open (timeout)"])
        let unreachable = view.rows[2]
        #expect(unreachable.requests == 12.5 && unreachable.refusals == 1 && unreachable.errors == 0)
        #expect(unreachable.queued == 3 && unreachable.breakers == ["provider:openai half-open (timed out)"])
    }

    @Test func `draws within the screen, the most important first`() {
        let lines = TopFrame(columns: 80, lines: 24, hasColours: false).draw(view(), clock: "12:00:00")
        #expect(lines[0] == "weir top  version 17  lineage abcdef01  nodes 3 live of 4  12:00:00")
        #expect(lines[1] == "NODE       VERSION  AGE STATE     REQ/S REF/S ERR/S   P50   P99 TOK/S  ACT QUEUE")
        #expect(lines[2] == "gateway-1       17   0s ok          103     3     0  0.24  0.98     0    0     7")
        let wide = TopFrame(columns: 100, lines: 24, hasColours: false).draw(view(), clock: "12:00:00")
        #expect(wide[2].count == 100 && wide[2].hasPrefix("gateway-1                           17"))
        #expect(lines.contains("gateway-1: redis open (timeout)"))
        #expect(lines.contains { $0.hasPrefix("rate_limited") && $0.hasSuffix(" 3") })
        #expect(lines.contains { $0.hasPrefix("gateway-3") && $0.contains(" no answer    13     1     0") })
        let small = TopFrame(columns: 40, lines: 4, hasColours: true).draw(view(), clock: "12:00:00")
        #expect(small.count == 4)
        for line in small { #expect(line.replacing(#/\u{1B}\[[0-9]*m/#, with: "").count <= 40) }
        var odd = TopReading(time: 1)
        odd.nodes = [node("evil\u{1B}[2J", MetricsPage("weir_usage_queued NaN\nhttp_server_active_requests 1e300\n"))]
        odd.nodes[0].breakers = [("redis\u{7}", "open", "\u{1B}]0;x")]
        let harmless = TopFrame(columns: 80, lines: 24, hasColours: false).draw(TopView(odd, after: nil), clock: "")
        #expect(harmless.allSatisfy { !$0.contains("\u{1B}") && !$0.contains("\u{7}") })
        #expect(harmless.contains { $0.hasPrefix("evil[2J") && $0.contains(" much") })
        var nobody = TopReading(time: 1)
        nobody.trouble = "connect"
        let empty = TopFrame(columns: 80, lines: 24, hasColours: false).draw(TopView(nobody, after: nil), clock: "")
        #expect(empty.contains("control plane: connect") && empty.contains("no node has reported"))
    }
}
