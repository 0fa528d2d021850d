// Stage 0: probes and metrics, answered before anything is looked up for policy.

import Breaker
import NIOHTTP1
import Telemetry

/// Answers what needs no key.
enum FastPath {
    static func answer(
        _ path: Substring,
        query: Substring,
        isHead: Bool,
        headers: HTTPHeaders,
        worker: Worker
    ) -> EarlyAnswer? {
        switch true {
        case path.utf8.elementsEqual("/healthz".utf8):
            text(200, "ok\n", isHead: isHead)
        case path.utf8.elementsEqual("/readyz".utf8):
            // Ready means: holds a valid snapshot and takes new requests. No dependency's health is in it
            // (DESIGN 11.5): an outage elsewhere must not take every node out at once.
            ready(worker, isVerbose: query.utf8.elementsEqual("?verbose".utf8), isHead: isHead)
        case path.utf8.elementsEqual("/metrics".utf8):
            metrics(ExpositionFormat.negotiated(accept: headers.first(name: "accept")), isHead: isHead, worker: worker)
        default: nil
        }
    }

    private static func ready(_ worker: Worker, isVerbose: Bool, isHead: Bool) -> EarlyAnswer {
        let isReady = worker.active != nil && !worker.isDraining
        guard isVerbose else {
            return isReady ? text(200, "ready\n", isHead: isHead) : text(503, "not ready\n", isHead: isHead)
        }
        return EarlyAnswer(
            status: isReady ? 200 : 503,
            body: .ready(
                ReadyReport.make(
                    worker.agent.status,
                    place: worker.agent.place,
                    breakers: worker.breakers.all,
                    isReady: isReady
                )
            ),
            contentType: "application/json",
            headers: HTTPHeaders(),
            isHead: isHead
        )
    }

    private static func metrics(_ format: ExpositionFormat, isHead: Bool, worker: Worker) -> EarlyAnswer {
        let registry = worker.measures.telemetry.registry
        return EarlyAnswer(
            status: 200,
            body: .made { registry.render(format) },
            contentType: format.contentType,
            headers: HTTPHeaders(),
            isHead: isHead
        )
    }

    private static func text(_ status: Int, _ text: String, isHead: Bool) -> EarlyAnswer {
        EarlyAnswer(
            status: status,
            body: .ready(Array(text.utf8)),
            contentType: "text/plain; charset=utf-8",
            headers: HTTPHeaders(),
            isHead: isHead
        )
    }
}
