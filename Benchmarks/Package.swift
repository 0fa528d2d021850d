// swift-tools-version: 6.2
// Benchmarks are a package of their own, so that building and testing Weir needs nothing of theirs:
//     swift package --package-path Benchmarks benchmark --target CELBenchmarks

import PackageDescription

let package = Package(
    name: "weir-benchmarks",
    dependencies: [
        // Its allocator and runtime hooks are left out: allocations are counted, and bounded, in the tests.
        .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
        .package(name: "weir", path: ".."),
    ],
    targets: [
        .executableTarget(
            name: "CELBenchmarks",
            dependencies: [
                .product(name: "Benchmark", package: "benchmark"),
                .product(name: "CEL", package: "weir"),
            ],
            path: "Benchmarks/CELBenchmarks",
            plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]
        )
    ],
    swiftLanguageModes: [.v6]
)
