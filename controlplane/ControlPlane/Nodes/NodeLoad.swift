// How busy a node is and what it does without, by its last report: for people, who may not be able to reach the node.

/// A node's load; figures are nil where its build does not tell them.
struct NodeLoad: Sendable, Equatable {
    /// A dependency that the node does without, or tries anew.
    struct OpenBreaker: Sendable, Equatable {
        let dependency: String
        /// `open` or `half-open`.
        let state: String
        let reason: String
    }

    private static let maxBreakers = 32
    private static let maxRate = 1e9

    var requestsPerSecond: Double?
    var refusalsPerSecond: Double?
    var errorsPerSecond: Double?
    var usageQueued: Int64?
    var openBreakers: [OpenBreaker] = []

    /// Takes its members out of a report; faults are noted in the reader.
    init(_ reader: inout ObjectReader) {
        requestsPerSecond = reader.optionalNumber("requests_per_second", in: 0...Self.maxRate)
        refusalsPerSecond = reader.optionalNumber("refusals_per_second", in: 0...Self.maxRate)
        errorsPerSecond = reader.optionalNumber("errors_per_second", in: 0...Self.maxRate)
        usageQueued = reader.optionalInteger("usage_queued", in: 0...Int64.max)
        guard let value = reader.take("breakers") else { return }
        guard let elements = value.arrayValue, elements.count <= Self.maxBreakers else {
            reader.refuse("breakers", "must be an array of at most \(Self.maxBreakers)")
            return
        }
        for (index, element) in elements.enumerated() {
            guard case .object(let members) = element else {
                reader.refuse("breakers/\(index)", "must be an object")
                continue
            }
            var inner = ObjectReader(members, path: "/breakers/\(index)")
            openBreakers.append(
                OpenBreaker(
                    dependency: inner.text("dependency", maxBytes: 512, required: true) ?? "",
                    state: inner.word("state", of: ["open", "half-open"], default: nil),
                    reason: NodeReport.reason(inner.take("reason")) ?? ""
                )
            )
            do throws(Problem) { try inner.finishPassingOver() } catch { reader.add(error.errors) }
        }
    }

    /// Reads what `members` made; of a row that an older build wrote nothing is known.
    init(stored: JSON) {
        var members: [JSON.Member] = []
        if case .object(let stored) = stored { members = stored }
        var reader = ObjectReader(members)
        self.init(&reader)
    }

    var members: [JSON.Member] {
        [
            .init(name: "requests_per_second", value: .optional(requestsPerSecond)),
            .init(name: "refusals_per_second", value: .optional(refusalsPerSecond)),
            .init(name: "errors_per_second", value: .optional(errorsPerSecond)),
            .init(name: "usage_queued", value: .optional(usageQueued)),
            .init(
                name: "breakers",
                value: .array(
                    openBreakers.map {
                        [
                            "dependency": .string($0.dependency), "state": .string($0.state),
                            "reason": .string($0.reason),
                        ]
                    }
                )
            ),
        ]
    }
}
