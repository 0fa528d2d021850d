// swift-tools-version: 6.2
// The map of the tree in the compiler's words: which part may know which. docs/architecture.md draws it.

import PackageDescription

/// Every target: Swift 6, warnings are errors, every unsafe expression marked.
let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
]

func library(
    _ name: String,
    path: String? = nil,
    _ dependencies: [Target.Dependency] = [],
    exclude: [String] = [],
    resources: [Resource] = []
) -> Target {
    .target(
        name: name,
        dependencies: dependencies,
        path: path,
        exclude: exclude,
        resources: resources,
        swiftSettings: strict
    )
}

func program(_ name: String, path: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, path: path, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: strict)
}

let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOPosix", package: "swift-nio"),
    .product(name: "NIOHTTP1", package: "swift-nio"),
    .product(name: "NIOSSL", package: "swift-nio-ssl"),
]
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let metrics = Target.Dependency.product(name: "CoreMetrics", package: "swift-metrics")
let tracing = Target.Dependency.product(name: "Tracing", package: "swift-distributed-tracing")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")

let package = Package(
    name: "weir",
    products: [
        .executable(name: "weir", targets: ["weir"]),
        .executable(name: "weir-control", targets: ["weir-control"]),
        .executable(name: "weir-gateway", targets: ["weir-gateway"]),
        // For the benchmarks, which are a package of their own.
        .library(name: "CEL", targets: ["CEL"]),
        // Preloaded into processes whose clock the fault tests move.
        .library(name: "ClockShift", type: .dynamic, targets: ["ClockShift"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.9.0"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/apple/swift-metrics.git", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-distributed-tracing.git", from: "1.7.3"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),  // tests only: reads schemas/openapi.yaml
    ],
    targets: [
        // Shims over C: variadics and macros, nothing else. Each is imported by one wrapper only.
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CHiredis", pkgConfig: "hiredis", providers: [.apt(["libhiredis-dev"])]),
        .systemLibrary(name: "CPostgres", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CLinux"),
        // RE2 speaks C++; this is the C side of it.
        .target(name: "CRE2", linkerSettings: [.linkedLibrary("re2")]),

        // Shared libraries, lowest first.
        library("Codec"),
        library("Breaker"),
        library("CEL", ["Codec", "CRE2"]),
        library("LLMWire", ["Codec"]),
        library(
            "Tokens",
            ["Codec", "LLMWire"],
            exclude: ["Generated/make_unicode.py", "Generated/make_vocabulary.py", "Generated/unicode-16.0.json"],
            resources: [
                .copy("Resources/o200k_base.vocabulary"), .copy("Resources/cl100k_base.vocabulary"),
                .copy("Resources/p50k_base.vocabulary"), .copy("Resources/r50k_base.vocabulary"),
            ]
        ),
        library(
            "Limits",
            resources: ["counters", "reserve", "reserve_any", "settle", "renew", "merge"].map {
                .embedInCode("Resources/\($0).lua")
            }
        ),
        library("Secrets", ["COpenSSL"]),
        library("Reactor", ["CCurl", "CHiredis", "CLinux"]),
        library("Postgres", ["CPostgres", "Reactor"]),
        library(
            "Policy",
            ["CEL", "Codec", "LLMWire", "Limits", "Secrets", "Tokens"],
            resources: [
                .embedInCode("Resources/cel.schema.json"),
                .embedInCode("Resources/model_allowlist.schema.json"),
                .embedInCode("Resources/rate_limit.schema.json"),
                .embedInCode("Resources/request_size.schema.json"),
                .embedInCode("Resources/token_limit.schema.json"),
            ]
        ),
        library("Snapshot", ["Codec", "LLMWire", "Policy", "Secrets", "Tokens"]),
        library("Ledger", ["Codec"]),
        library("Telemetry", [logging, metrics, tracing]),
        // Generated, so not by our rules.
        .target(
            name: "OTLPMessages",
            dependencies: [.product(name: "SwiftProtobuf", package: "swift-protobuf")],
            exclude: ["make_messages.py"]
        ),
        library(
            "OTLP",
            [
                "CZlib", "Codec", "OTLPMessages", "Reactor", "Secrets", "Telemetry", logging, metrics, tracing,
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ]
        ),
        library("Stack", ["CLinux", "Secrets"]),

        // The two programs and the command line.
        library(
            "Gateway",
            path: "dataplane/Gateway",
            [
                "Breaker", "CEL", "Codec", "LLMWire", "Ledger", "Limits", "Policy", "Reactor", "Secrets", "Snapshot",
                "Telemetry", "Tokens", logging,
            ] + nio
        ),
        program("weir-gateway", path: "dataplane/weir-gateway", ["Gateway", "OTLP", "Telemetry", arguments, logging]),
        library(
            "ControlPlane",
            path: "controlplane/ControlPlane",
            [
                "Codec", "LLMWire", "Ledger", "Limits", "Policy", "Postgres", "Reactor", "Secrets", "Snapshot",
                "Telemetry",
                "Tokens",
                hummingbird, logging, .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            resources: [
                .embedInCode("Resources/migration_0001.sql"), .embedInCode("Resources/migration_0002.sql"),
                .embedInCode("Resources/migration_0003.sql"), .embedInCode("Resources/migration_0004.sql"),
                .embedInCode("Resources/migration_0005.sql"), .embedInCode("Resources/migration_0006.sql"),
                .embedInCode("Resources/migration_0007.sql"),
                .embedInCode("Resources/openapi.yaml"),
                .embedInCode("Resources/publish.lua"), .embedInCode("Resources/announce.lua"),
            ]
        ),
        program(
            "weir-control",
            path: "controlplane/weir-control",
            ["ControlPlane", "OTLP", "Secrets", "Telemetry", arguments, logging]
        ),
        program(
            "weir",
            path: "Sources/weir",
            [
                "CEL", "Policy", "Reactor", "Secrets", "Snapshot", "Stack", "Telemetry", "Tokens", arguments,
                hummingbird,
                logging,
            ]
        ),

        tests(
            "ControlPlaneTests",
            [
                "Codec", "ControlPlane", "Ledger", "Policy", "Postgres", "Reactor", "Secrets", "Snapshot", "Stack",
                "Telemetry", logging,
                .product(name: "Yams", package: "Yams"),
            ]
        ),
        tests("TelemetryTests", ["AllocationCounter", "Secrets", "Telemetry", logging, metrics, tracing]),
        // A collector for tests, in Python.
        .target(
            name: "OTLPReceiver",
            dependencies: ["Stack"],
            path: "Tests/OTLPReceiver",
            exclude: ["receiver.py"],
            swiftSettings: strict
        ),
        tests("OTLPTests", ["OTLP", "OTLPReceiver", "Secrets", "Stack", "Telemetry", logging]),
        tests(
            "NodeTests",
            ["Gateway", "Ledger", "Limits", "Policy", "Reactor", "Secrets", "Snapshot", "Stack", "Telemetry", logging]
        ),
        tests("CELTests", ["AllocationCounter", "CEL", "Codec"]),
        tests("CodecTests", ["Codec"]),
        tests("LedgerTests", ["Codec", "Ledger"]),
        tests("SnapshotTests", ["AllocationCounter", "Codec", "Policy", "Secrets", "Snapshot"]),
        tests("PostgresTests", ["Postgres"]),
        tests("SecretsTests", ["Secrets"]),
        tests("BreakerTests", ["Breaker"]),
        tests("LimitsTests", ["Limits"]),
        .target(name: "AllocationCounter", path: "Tests/AllocationCounter"),
        tests("PolicyTests", ["AllocationCounter", "CEL", "Codec", "LLMWire", "Limits", "Policy", "Tokens"]),
        tests("StackTests", ["Stack"]),
        tests("GatewayTests", ["Gateway", "Policy", "Secrets", "Snapshot", "Stack", "Telemetry", "Tokens", logging]),
        tests("LLMWireTests", ["LLMWire"]),
        tests("TokensTests", ["AllocationCounter", "Codec", "LLMWire", "Tokens"]),
        tests("TidyTests", []),
        tests("OperationsTests", ["Stack"]),
        .testTarget(
            name: "EndToEnd",
            // Started by path: the programs are dependencies only so that they are built first.
            dependencies: ["LLMWire", "OTLPReceiver", "Stack", "Tokens", "weir", "weir-control", "weir-gateway"],
            exclude: ["sdk_openai.py", "sdk_anthropic.py"],
            swiftSettings: strict
        ),
        // The programs are started by path here, too.
        .target(name: "ClockShift", path: "Tests/ClockShift"),
        tests("Faults", ["Stack", "weir-control", "weir-gateway"] + nio),
        // Figures for people, in release builds: `swift run -c release weir-measure`.
        program("weir-measure", path: "Tests/Measure", ["Stack", arguments]),
        tests("WeirTests", ["Policy", "Stack", "weir"]),
        tests("ReactorTests", ["Reactor"]),
    ],
    swiftLanguageModes: [.v6]
)
