// A model server for people who have no provider at hand: OpenAI's and Anthropic's endpoints, deterministic answers,
// streams that trickle so that one sees them stream. With a key set it refuses requests without it, which shows that
// the gateway puts the provider's credential in place of the client's.

import Foundation
import HTTPTypes
import Hummingbird
import Logging

/// The demo upstream's HTTP side.
struct DemoUpstream {
    /// Accepted as `Authorization: Bearer` or `x-api-key`; nil accepts everybody.
    let key: String?
    /// The pause between two events of a stream.
    let eventDelay: Duration
    /// Names that `GET /v1/models` lists.
    let models: [String]

    func run(host: String, port: Int) async throws {
        var logger = Logger(label: "weir-demo-upstream")
        logger.logLevel = .warning
        let application = Application(
            router: router(),
            configuration: .init(address: .hostname(host, port: port), serverName: "weir-demo-upstream"),
            logger: logger
        )
        try await application.runService()
    }

    private func router() -> Router<BasicRequestContext> {
        let router = Router()
        router.get("/healthz") { _, _ in "ok" }
        router.get("/v1/models") { request, _ in
            isAllowed(request) ? json(list) : refusal(.unauthorized, "invalid demo key")
        }
        route(router, "/v1/chat/completions") { $0.chat }
        route(router, "/v1/completions") { $0.completion }
        route(router, "/v1/responses") { $0.response }
        route(router, "/v1/messages") { $0.message }
        route(router, "/v1/embeddings") { DemoAnswer(body: $0.embeddings, events: []) }
        return router
    }

    private func route(
        _ router: Router<BasicRequestContext>,
        _ path: RouterPath,
        _ answer: @escaping @Sendable (DemoAnswers) -> DemoAnswer
    ) {
        router.post(path) { request, _ in
            guard isAllowed(request) else { return refusal(.unauthorized, "invalid demo key") }
            let body = try await request.body.collect(upTo: 64 << 20)
            let asked: DemoRequest
            do {
                asked = try JSONDecoder().decode(DemoRequest.self, from: Data(body.readableBytesView))
            } catch {
                return refusal(.badRequest, "not a request this demo understands")
            }
            let whole = answer(DemoAnswers(asked))
            return asked.stream == true && !whole.events.isEmpty ? stream(whole.events) : json(whole.body)
        }
    }

    private func isAllowed(_ request: Request) -> Bool {
        guard let key else { return true }
        let bearer = request.headers[.authorization] == "Bearer \(key)"
        let apiKey = HTTPField.Name("x-api-key").map { request.headers[$0] == key } ?? false
        return bearer || apiKey
    }

    private var list: String {
        let entries = models.map { name in
            "{\"id\":\(DemoAnswers.quoted(name)),\"object\":\"model\",\"created\":1767225600,\"owned_by\":\"weir\"}"
        }
        return "{\"object\":\"list\",\"data\":[\(entries.joined(separator: ","))]}"
    }

    private func json(_ text: String, status: HTTPResponse.Status = .ok) -> Response {
        let body = ResponseBody(byteBuffer: ByteBuffer(string: text))
        return Response(status: status, headers: [.contentType: "application/json"], body: body)
    }

    private func refusal(_ status: HTTPResponse.Status, _ message: String) -> Response {
        let text = """
            {"error":{"message":\(DemoAnswers.quoted(message)),"type":"invalid_request_error","param":null,"code":null}}
            """
        return json(text, status: status)
    }

    private func stream(_ events: [String]) -> Response {
        let delay = eventDelay
        let body = ResponseBody { writer in
            for event in events {
                try await writer.write(ByteBuffer(string: event))
                if delay > .zero { try await Task.sleep(for: delay) }
            }
            try await writer.finish(nil)
        }
        return Response(status: .ok, headers: [.contentType: "text/event-stream"], body: body)
    }
}
