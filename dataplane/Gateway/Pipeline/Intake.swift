// Stages 0 to 2, on the head alone: probes and unknown paths, whose key it is, and whether the body may come at all.

import LLMWire
import NIOHTTP1
import Policy
import Snapshot
import Telemetry

/// An answer that is known before the request's body.
struct EarlyAnswer {
    /// What it says.
    enum Body {
        case ready([UInt8])
        /// Takes milliseconds to make, which other requests of the loop shall not wait for: made on another thread.
        case made(@Sendable () -> [UInt8])
    }

    let status: Int
    let body: Body
    let contentType: String
    let headers: HTTPHeaders
    var isHead = false
    /// For metrics.
    var route = HTTPRoute.unknown
    /// The connection cannot be kept: the request's framing is not to be trusted.
    var mustClose = false
    /// The length that the request declared for its body; 0 when it declared none.
    var announcedBytes = 0
    /// Runs when the answer goes out; writes the record of a refusal.
    var exchangeDidAnswer: (() -> Void)?
}

/// What a head leads to.
enum IntakeOutcome {
    /// Read a body of at most `limit` bytes.
    case read(Exchange, limit: Int, announced: Int, expectsContinue: Bool)
    case answer(EarlyAnswer)
}

/// Judges a request's head.
///
/// Nothing is allocated for policy before the key is known.
enum Intake {
    static func receive(_ head: HTTPRequestHead, handler: RequestHandler, worker: Worker) -> IntakeOutcome {
        // Exact bytes only: no decoding, no normalising (RELIABILITY, security 9). A query is allowed and ignored.
        let path = head.uri.utf8.firstIndex(of: UInt8(ascii: "?")).map { head.uri[..<$0] } ?? head.uri[...]
        let isGet = head.method == .GET || head.method == .HEAD
        if isGet,
            let answer = FastPath.answer(
                path,
                query: head.uri[path.endIndex...],
                isHead: head.method == .HEAD,
                headers: head.headers,
                worker: worker
            )
        {
            var answer = answer
            answer.route = .probe
            return .answer(answer)
        }
        let facts = RequestHead(head.headers)
        let requestID = facts.requestID ?? worker.makeRequestID()
        let endpoint = Endpoint.allCases.first { path.utf8.elementsEqual("\($0.path)".utf8) }
        let isModels = path.utf8.elementsEqual("/v1/models".utf8) || path.utf8.starts(with: "/v1/models/".utf8)
        let dialect: Dialect = endpoint?.dialect ?? (facts.hasAnthropicVersion ? .anthropic : .openAI)
        let route = endpoint.map { HTTPRoute.call($0) } ?? (isModels ? .models : .unknown)
        func refuse(_ error: ClientError, mustClose: Bool = false) -> IntakeOutcome {
            var answer = Self.answer(error, dialect, requestID: requestID)
            answer.route = route
            answer.isHead = head.method == .HEAD
            answer.mustClose = mustClose
            answer.announcedBytes = facts.contentLength ?? 0
            return .answer(answer)
        }

        guard head.version.major == 1, facts.isHostWellFormed, facts.hostCount == 1 || head.version.minor == 0,
            facts.hostCount <= 1
        else { return refuse(.malformed, mustClose: true) }
        guard endpoint != nil || isModels else { return refuse(.notFound) }
        guard isModels ? isGet : head.method == .POST else {
            return refuse(.methodNotAllowed, mustClose: head.method == .CONNECT)
        }
        guard let active = worker.active else { return refuse(.unavailable) }

        let now = WallClock.milliseconds
        (worker.agent.isFresh(at: now) ? worker.counters.freshRequests : worker.counters.staleRequests).add()
        let key: EnforcedKey
        do throws(AuthenticationFailure) {
            key = try Authenticate.key(of: facts, in: active.policies, held: worker.heldKeys, nowMilliseconds: now)
        } catch {
            worker.counters.unauthorized.add()
            return refuse(.unauthorized)
        }
        guard let endpoint else {
            var answer = ModelList.answer(path, key: key, active: active, dialect: dialect, requestID: requestID)
            answer.isHead = head.method == .HEAD
            answer.route = route
            return .answer(answer)
        }
        guard !facts.isEncoded else { return refuse(.unsupportedMedia) }
        let exchange = Exchange(
            id: worker.makeExchangeID(),
            endpoint: endpoint,
            requestID: requestID,
            fields: RequestFields(head.headers),
            forwarded: facts.forwarded,
            trace: worker.measures.trace(of: facts),
            key: key,
            active: active,
            handler: handler,
            worker: worker
        )
        let limit = min(worker.bounds.maxBodyBytes, key.maxBodyBytes ?? .max)
        guard (facts.contentLength ?? 0) <= limit else {
            var answer = tooLarge(exchange, got: facts.contentLength ?? 0)
            answer.announcedBytes = facts.contentLength ?? 0
            return .answer(answer)
        }
        return .read(
            exchange,
            limit: limit,
            announced: facts.contentLength ?? 0,
            expectsContinue: facts.expectsContinue
        )
    }

    /// Stage 2's refusal; `got` is the declared length, or what had arrived when the bound was passed.
    static func tooLarge(_ exchange: Exchange, got: Int) -> EarlyAnswer {
        let error = ClientError.tooLarge
        var answer = answer(error, exchange.endpoint.dialect, requestID: exchange.requestID, origin: .policy)
        answer.route = .call(exchange.endpoint)
        let rule = exchange.key.rules.first { rule in
            rule.mode == .enforce && rule.program.maxBodyBytes.map { got > $0 } ?? false
        }
        answer.exchangeDidAnswer = {
            guard let rule, let limit = rule.program.maxBodyBytes else { return }
            exchange.noteEarlyRefusal(
                Refusal(.requestTooLarge, limit: Int64(limit), got: Int64(got)),
                by: rule,
                status: error.status
            )
        }
        return answer
    }

    private static func answer(
        _ error: ClientError,
        _ dialect: Dialect,
        requestID: String,
        origin: Exchange.Origin = .gateway
    ) -> EarlyAnswer {
        EarlyAnswer(
            status: error.status,
            body: .ready(error.body(dialect, requestID: Array(requestID.utf8))),
            contentType: "application/json",
            headers: RequestHandler.identityHeaders(dialect, requestID: requestID, origin: origin)
        )
    }
}
