// What a provider's error means for us: whether to try again, whether its account is empty, whether the fault is the
// client's. Statuses alone do not tell: a 429 may be an unpaid bill, a 400 a bad key (WIRE §5 and §6).

internal import Codec

/// What kind of trouble a provider reports.
public enum ProviderErrorClass: UInt8, Sendable, CaseIterable {
    /// The gateway's own credential was refused. Never relayed.
    case auth
    /// Money: waiting does not help.
    case billing
    /// Too fast: waiting helps.
    case rateLimit
    /// The provider has no capacity now.
    case overloaded
    /// The provider failed.
    case server
    /// No such model, path or object.
    case notFound
    /// The request is at fault.
    case badRequest
    /// The request is too large.
    case tooLarge

    /// The name in records and metrics.
    public var name: StaticString {
        switch self {
        case .auth: "auth"
        case .billing: "billing"
        case .rateLimit: "rate_limit"
        case .overloaded: "overloaded"
        case .server: "server"
        case .notFound: "not_found"
        case .badRequest: "bad_request"
        case .tooLarge: "too_large"
        }
    }
}

/// A provider's answer that is no success.
public struct ProviderError: Sendable, Equatable {
    /// Bytes of the body that are looked at; error bodies are small.
    public static let maxLookedAtBytes = 64 << 10

    /// What kind of trouble it is.
    public var errorClass: ProviderErrorClass
    /// Whether another try, here or elsewhere, may succeed.
    public var isRetryable: Bool
    /// The code in the body, as text; Anthropic's `details.error_code`.
    public var code: [UInt8]?
    /// The type in the body; Gemini's `status`.
    public var type: [UInt8]?
    /// Milliseconds to wait, when the provider says so; rounded up, at most a day.
    public var retryAfterMilliseconds: Int?

    /// Judges an answer.
    ///
    /// Not for the hot path: it allocates.
    ///
    /// - Parameters:
    ///   - status: the HTTP status, 400 or more.
    ///   - headers: the answer's headers; names in any case.
    ///   - body: the body, or as much of it as was kept; need not be JSON.
    /// - Returns: the verdict.
    public static func classify(
        status: Int,
        headers: [(name: String, value: String)],
        body: [UInt8]
    ) -> ProviderError {
        var text = ErrorBody()
        if body.count <= maxLookedAtBytes { text.read(body.span) }
        let kind = kind(status: status, text)
        return ProviderError(
            errorClass: kind,
            isRetryable: isRetryable(kind, status: status) && !text.isDailyQuota,
            code: text.code,
            type: text.type,
            retryAfterMilliseconds: wait(headers) ?? text.retryDelayMilliseconds
        )
    }

    private static func kind(status: Int, _ text: ErrorBody) -> ProviderErrorClass {
        if status == 402 || text.isBilling { return .billing }
        if status == 401 || status == 403 || text.isBadKey { return .auth }
        switch status {
        case 404: return .notFound
        case 413: return .tooLarge
        case 429: return .rateLimit
        case 529: return .overloaded
        case 503 where text.isOverload: return .overloaded
        case 408, 500...: return .server
        default: return .badRequest
        }
    }

    private static func isRetryable(_ kind: ProviderErrorClass, status: Int) -> Bool {
        switch kind {
        case .rateLimit, .overloaded: true
        case .auth, .billing: false
        // 501, 505 and their like say that it will never work.
        default: [408, 409, 500, 502, 503, 504].contains(status)
        }
    }

    /// What the headers ask to wait.
    ///
    /// `retry-after-ms` wins over `retry-after`, which as a date counts from the answer's own `date`, since clocks
    /// differ; without that it says nothing.
    private static func wait(_ headers: [(name: String, value: String)]) -> Int? {
        func value(_ name: String) -> [UInt8]? {
            headers.first { $0.name.utf8.count == name.utf8.count && $0.name.lowercased() == name }.map {
                Array($0.value.utf8)
            }
        }
        if let text = value("retry-after-ms"), let wait = milliseconds(text, perUnit: 1) { return wait }
        guard let text = value("retry-after") else { return nil }
        if let wait = milliseconds(text, perUnit: 1_000) { return wait }
        return HTTPDate.seconds(until: text, from: value("date")).map { min($0 * 1_000, longestWait) }
    }

    /// In milliseconds: a day.
    private static let longestWait = 86_400_000

    /// Reads a decimal number that is not negative.
    static func milliseconds(_ text: [UInt8], perUnit unit: Int) -> Int? {
        guard !text.isEmpty, text.count <= 20 else { return nil }
        let longest = longestWait
        var micro = 0  // millionths of the unit
        var decimals = -1
        for byte in text {
            if byte == UInt8(ascii: "."), decimals < 0 {
                decimals = 0
            } else if byte &- UInt8(ascii: "0") < 10 {
                if decimals < 0 {
                    micro = min(micro * 10 + Int(byte - UInt8(ascii: "0")) * 1_000_000, longest * 1_000_000)
                } else if decimals < 6 {
                    decimals += 1
                    var digit = Int(byte - UInt8(ascii: "0"))
                    for _ in decimals..<6 { digit *= 10 }
                    micro += digit
                }
            } else {
                return nil
            }
        }
        let (product, overflows) = micro.multipliedReportingOverflow(by: unit)
        return overflows ? longest : min((product + 999_999) / 1_000_000, longest)
    }
}

/// What an error body says, in any provider's shape.
private struct ErrorBody {
    var code: [UInt8]?
    var type: [UInt8]?
    var isBadKey = false
    var isDailyQuota = false
    var retryDelayMilliseconds: Int?
    private var status: [UInt8]?

    /// OpenAI's codes for an empty account; `insufficient_quota` is also the type of all of them.
    private static let billingCodes: [StaticString] = [
        "insufficient_quota", "credit_balance_exhausted", "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded", "organization_usage_limit_exceeded", "billing_hard_limit_reached",
        "billing_not_active", "enforced_spend_limit_reached",
    ]

    var isBilling: Bool {
        `is`(type, "insufficient_quota") || `is`(type, "billing_error") || Self.billingCodes.contains { `is`(code, $0) }
    }

    var isOverload: Bool {
        `is`(type, "overloaded_error") || `is`(type, "overloaded") || `is`(code, "overloaded")
            || `is`(type, "UNAVAILABLE")
    }

    private func `is`(_ text: [UInt8]?, _ literal: StaticString) -> Bool {
        guard let text else { return false }
        return JSONBytes.areEqual(text.span, from: 0, count: text.count, to: literal)
    }

    /// What is no JSON says nothing.
    mutating func read(_ body: Span<UInt8>) {
        var copy = self
        do throws(ScanError) {
            var reader = JSONReader(isStrict: false)
            if reader.peek(body) == UInt8(ascii: "[") {
                // Gemini sometimes wraps the error in a list.
                try reader.enterContainer()
                var isFirst = true
                while try reader.nextElement(body, isFirst: &isFirst) { try copy.readOuter(body, &reader) }
            } else {
                try copy.readOuter(body, &reader)
            }
            try reader.expectEnd(body)
            copy.type = copy.type ?? copy.status
            self = copy
        } catch {
            return
        }
    }

    private mutating func readOuter(_ body: Span<UInt8>, _ reader: inout JSONReader) throws(ScanError) {
        guard reader.peek(body) == UInt8(ascii: "{") else { return try reader.skip(body) }
        try reader.enterContainer()
        var isFirst = true
        while let key = try reader.nextKey(body, isFirst: &isFirst) {
            guard key.equals("error", in: body), reader.peek(body) == UInt8(ascii: "{") else {
                try reader.skip(body)
                continue
            }
            try readError(body, &reader)
        }
    }

    private mutating func readError(_ body: Span<UInt8>, _ reader: inout JSONReader) throws(ScanError) {
        try reader.enterContainer()
        var isFirst = true
        while let key = try reader.nextKey(body, isFirst: &isFirst) {
            if key.equals("code", in: body) {
                code = try readCode(body, &reader)
            } else if key.equals("type", in: body) {
                type = try text(body, &reader)
            } else if key.equals("status", in: body) {
                status = try text(body, &reader)
            } else if key.equals("details", in: body) {
                try readDetails(body, &reader)
            } else {
                try reader.skip(body)
            }
        }
    }

    /// A code is a string, or a number with vLLM and Gemini.
    private func readCode(_ body: Span<UInt8>, _ reader: inout JSONReader) throws(ScanError) -> [UInt8]? {
        let byte = reader.peek(body)
        guard byte == UInt8(ascii: "-") || byte &- UInt8(ascii: "0") < 10 else { return try text(body, &reader) }
        let start = try reader.number(body)
        var digits: [UInt8] = []
        append(body, from: start, to: min(reader.index, start + 32), into: &digits)
        return digits
    }

    private func text(_ body: Span<UInt8>, _ reader: inout JSONReader) throws(ScanError) -> [UInt8]? {
        guard let value = try reader.stringOrSkip(body), value.count <= 128 else { return nil }
        return value.decoded(in: body)
    }

    /// Anthropic's `details` is an object with `error_code`; Gemini's a list of typed objects.
    private mutating func readDetails(_ body: Span<UInt8>, _ reader: inout JSONReader) throws(ScanError) {
        var details = ErrorDetails()
        try reader.value(body, visiting: &details)
        code = details.errorCode ?? code
        isBadKey = isBadKey || details.isBadKey
        isDailyQuota = isDailyQuota || details.isDailyQuota
        retryDelayMilliseconds = details.retryDelayMilliseconds ?? retryDelayMilliseconds
    }
}

/// Picks the telling strings out of an error's `details`, wherever they stand in it.
private struct ErrorDetails: JSONVisitor {
    private(set) var errorCode: [UInt8]?
    private(set) var isBadKey = false
    private(set) var isDailyQuota = false
    private(set) var retryDelayMilliseconds: Int?
    private var key: JSONString?

    mutating func visit(key: JSONString, in bytes: Span<UInt8>) {
        self.key = key
    }

    mutating func visit(string: JSONString, in bytes: Span<UInt8>) {
        defer { key = nil }
        guard let key, string.count <= 256 else { return }
        if key.equals("error_code", in: bytes) {
            errorCode = string.decoded(in: bytes)
        } else if key.equals("reason", in: bytes) {
            isBadKey = isBadKey || string.equals("API_KEY_INVALID", in: bytes)
        } else if key.equals("quotaId", in: bytes) {
            let name = string.decoded(in: bytes)
            for start in name.indices where JSONBytes.begins(name.span, at: start, with: "PerDay") {
                isDailyQuota = true
            }
        } else if key.equals("retryDelay", in: bytes) {
            // A protobuf duration in JSON: "38.2s".
            var text = string.decoded(in: bytes)
            guard text.popLast() == UInt8(ascii: "s") else { return }
            retryDelayMilliseconds = ProviderError.milliseconds(text, perUnit: 1_000)
        }
    }

    mutating func visit(scalarCount: Int, isNumber: Bool) { key = nil }
    mutating func open(isObject: Bool) { key = nil }
    mutating func close(isObject: Bool) { key = nil }
    mutating func separate() { key = nil }
}
