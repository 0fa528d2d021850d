// Errors that the fixtures do not show.

import Testing

@testable import LLMWire

@Suite struct `A provider's error` {
    private func classify(_ status: Int, _ body: String = "", _ headers: [(name: String, value: String)] = [])
        -> ProviderError
    {
        ProviderError.classify(status: status, headers: headers, body: Array(body.utf8))
    }

    @Test(
        arguments: [
            (400, .badRequest, false), (401, .auth, false), (402, .billing, false), (403, .auth, false),
            (404, .notFound, false), (408, .server, true), (409, .badRequest, true), (413, .tooLarge, false),
            (422, .badRequest, false), (429, .rateLimit, true), (500, .server, true), (501, .server, false),
            (502, .server, true), (503, .server, true), (504, .server, true), (529, .overloaded, true),
        ] as [(Int, ProviderErrorClass, Bool)]
    )
    func `without a body goes by its status`(status: Int, kind: ProviderErrorClass, isRetryable: Bool) {
        #expect(classify(status).errorClass == kind)
        #expect(classify(status).isRetryable == isRetryable)
    }

    @Test func `of a spend limit is billing whatever its status`() {
        let body =
            #"{"type":"error","error":{"type":"invalid_request_error","details":{"error_code":"enforced_spend_limit_reached"}}}"#
        #expect(classify(400, body).errorClass == .billing)
    }

    @Test func `of a daily quota is not worth another try`() {
        let body =
            #"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"quotaId":"RequestsPerDay-Free"}]}]}}"#
        #expect(classify(429, body).errorClass == .rateLimit)
        #expect(!classify(429, body).isRetryable)
    }

    @Test(
        arguments: [
            ("1", 1_000), ("0.5", 500), ("0", 0), ("1.0001", 1_001), ("86400", 86_400_000), ("999999999", 86_400_000),
            ("99999999999999999999", 86_400_000), ("", nil), ("-1", nil), ("1e3", nil), ("1.2.3", nil),
            ("Wed, 21 Oct 2026 07:28:00 GMT", nil), ("999999999999999999999", nil),
        ] as [(String, Int?)]
    )
    func `says how long to wait, within a day`(value: String, milliseconds: Int?) {
        #expect(classify(429, "", [(name: "Retry-After", value: value)]).retryAfterMilliseconds == milliseconds)
    }

    @Test(
        arguments: [
            ("Wed, 21 Oct 2026 07:28:05 GMT", 5_000), ("Wed, 21 Oct 2026 07:27:59 GMT", 0),
            ("Thu, 22 Oct 2026 07:28:00 GMT", 86_400_000), ("Fri, 01 Jan 2100 00:00:00 GMT", 86_400_000),
            ("Wed, 21 Oct 2026 07:28:05 UTC", nil), ("Wed, 21 oct 2026 07:28:05 GMT", nil),
            ("Wed, 2x Oct 2026 07:28:05 GMT", nil), ("Wed, 21 Oct 2026 24:28:05 GMT", nil), ("2026-10-21", nil),
        ] as [(String, Int?)]
    )
    func `says until when to wait, by its own clock`(value: String, milliseconds: Int?) {
        let headers = [(name: "date", value: "Wed, 21 Oct 2026 07:28:00 GMT"), (name: "Retry-After", value: value)]
        #expect(classify(429, "", headers).retryAfterMilliseconds == milliseconds)
    }

    @Test(arguments: [
        "", "{", "[]", "null", "[{\"error\":3}]", "{\"error\":\"text\"}", "<html>", "{\"error\":{\"code\":{}}}",
    ])
    func `may have any body`(body: String) {
        #expect(classify(500, body).errorClass == .server)
        #expect(classify(500, body).code == nil)
    }
}
