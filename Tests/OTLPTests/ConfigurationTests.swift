// The environment is OpenTelemetry's: each variable does what it does everywhere, and a bad value stops nobody.

import Reactor
import Secrets
import Telemetry
import Testing

@testable import OTLP

@Suite struct `The environment` {
    private func read(_ environment: [String: String]) -> OTLPConfiguration {
        OTLPConfiguration(environment: environment, service: "weir-test", attributes: [("host.name", "h")])
    }

    @Test func `that says nothing exports nothing and measures all the same`() {
        let read = read([:])
        #expect(read.traces == nil && read.metrics == nil && !read.isDisabled)
        #expect(read.sampler == .parentBased(root: .ratio(0.01)))
        #expect(read.metricInterval == .seconds(60) && read.spanDelay == .seconds(5))
        #expect(read.maxQueuedSpans == 2_048 && read.maxSpansPerRequest == 512)
        #expect(read.problems.isEmpty)
        #expect(read.resource.first { $0.name == "service.name" }?.value == "weir-test")
        #expect(read.resource.first { $0.name == "host.name" }?.value == "h")
    }

    @Test(
        arguments: [
            ("http://c:4318", "http://c:4318/v1/traces"), ("http://c:4318/", "http://c:4318/v1/traces"),
            ("https://c/otlp", "https://c/otlp/v1/traces"),
        ]
    )
    func `names a root to which the signal's path is added`(root: String, url: String) {
        #expect(read(["OTEL_EXPORTER_OTLP_ENDPOINT": root]).traces?.url == url)
    }

    @Test func `names a signal's own endpoint as it is, and prefers what is said of one signal`() throws {
        let read = read([
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://all", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://traces/here",
            "OTEL_EXPORTER_OTLP_HEADERS": "a=1,b=x%20y", "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "c=3",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "2000", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "300",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION": "none",
            "OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca.pem", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "/me.pem",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/key.pem", "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY": "/traces-key.pem",
        ])
        let (traces, metrics) = (try #require(read.traces), try #require(read.metrics))
        #expect(traces.url == "http://traces/here" && metrics.url == "http://all/v1/metrics")
        #expect(traces.headers.reveal() == ["a: 1", "b: x y"] && metrics.headers.reveal() == ["c: 3"])
        #expect(traces.timeout == .milliseconds(300) && metrics.timeout == .seconds(2))
        #expect(traces.usesGzip && !metrics.usesGzip)
        #expect(traces.caFile == "/ca.pem")
        #expect(traces.clientIdentity == ClientIdentity(certificateFile: "/me.pem", keyFile: "/traces-key.pem"))
        #expect(metrics.clientIdentity == ClientIdentity(certificateFile: "/me.pem", keyFile: "/key.pem"))
        #expect(!"\(traces)".contains("x y"), "headers hold credentials")
        #expect(read.problems.isEmpty)
    }

    @Test func `switches signals and everything off`() {
        let endpoint = ["OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"]
        let none = read(endpoint.merging(["OTEL_TRACES_EXPORTER": "none"]) { $1 })
        #expect(none.traces == nil && none.metrics != nil)
        let off = read(endpoint.merging(["OTEL_SDK_DISABLED": "TRUE"]) { $1 })
        #expect(off.isDisabled && off.traces == nil && off.metrics == nil)
        let fetched = read(endpoint.merging(["OTEL_METRICS_EXPORTER": "prometheus"]) { $1 })
        #expect(fetched.metrics == nil && fetched.traces != nil && fetched.problems.isEmpty)
        let local = read(["OTEL_METRICS_EXPORTER": "otlp"])
        #expect(local.metrics?.url == "http://localhost:4318/v1/metrics" && local.traces == nil)
    }

    @Test func `names the service and its attributes`() {
        let read = read([
            "OTEL_SERVICE_NAME": "mine",
            "OTEL_RESOURCE_ATTRIBUTES": "service.name=theirs,deployment.environment.name=pro%2Cd,host.name=other",
        ])
        let resource = Dictionary(uniqueKeysWithValues: read.resource.map { ($0.name, $0.value) })
        #expect(resource["service.name"] == "mine" && resource["host.name"] == "other")
        #expect(resource["deployment.environment.name"] == "pro,d")
    }

    @Test(
        arguments: [
            ("OTEL_SDK_DISABLED", "yes"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"), ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
            ("OTEL_TRACES_SAMPLER_ARG", "lots"), ("OTEL_METRIC_EXPORT_INTERVAL", "soon"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "-1"), ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
            ("OTEL_BSP_SCHEDULE_DELAY", "99999999999999999999"), ("OTEL_RESOURCE_ATTRIBUTES", "novalue"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a=%zz"), ("OTEL_EXPORTER_OTLP_HEADERS", "a=%0d%0ab"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "x"),
            ("OTEL_TRACES_EXPORTER", "zipkin"), ("OTEL_SERVICE_NAME", "a\u{1}b"),
            ("OTEL_RESOURCE_ATTRIBUTES", String(repeating: "a", count: 20_000)),
        ]
    )
    func `that makes no sense is told and replaced by the default`(name: String, value: String) {
        let read = read([name: value, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"])
        #expect(!read.problems.isEmpty)
        #expect(value.utf8.count < 3 || !read.problems.joined().contains(value), "values may be secrets")
        #expect(read.traces != nil && read.metrics != nil && !read.isDisabled)
        #expect(read.metricInterval == .seconds(60) && read.spanDelay == .seconds(5) && read.maxQueuedSpans == 2_048)
        #expect(read.traces?.headers.reveal() == [] && read.traces?.timeout == .seconds(10))
    }

    @Test func `with an endpoint that is no URL exports nothing`() {
        let read = read(["OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"])
        #expect(read.traces == nil && read.metrics == nil && read.problems.count == 2)
    }

    @Test func `sends no more at once than may wait, and says a thing once`() {
        let read = read([
            "OTEL_BSP_MAX_QUEUE_SIZE": "100", "OTEL_EXPORTER_OTLP_TIMEOUT": "x",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c",
        ])
        #expect(read.maxQueuedSpans == 100 && read.maxSpansPerRequest == 100)
        #expect(read.problems.count == 2, "\(read.problems)")
    }

    @Test func `opts into newer conventions`() {
        #expect(
            read(["OTEL_SEMCONV_STABILITY_OPT_IN": "http, gen_ai_latest_experimental"]).conventions
                == ["http", "gen_ai_latest_experimental"]
        )
    }
}
