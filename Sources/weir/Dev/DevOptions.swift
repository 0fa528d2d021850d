// What `weir dev` was asked for, checked, in the words of the rest of the code.

import Foundation

/// The choices behind one development stack.
struct DevOptions: Sendable {
    /// A provider in place of the demo upstream.
    struct Upstream: Sendable {
        var url: String
        var models: [String]
        var credential: String?
    }

    let ports: DevPorts
    let directory: String
    let upstream: Upstream?
    let infoFile: String?
    let endsAfterDemo: Bool
    let openAIKey: String?
    let anthropicKey: String?

    /// The URL that the info file and the demo's provider name; in OpenAI's form, ending in /v1.
    var upstreamURL: String { upstream?.url ?? "http://127.0.0.1:\(ports.upstream)/v1" }

    /// The model that the demo request asks for.
    var demoModel: String { upstream?.models.first ?? "mock" }

    static func absolute(_ path: String) -> String {
        URL(fileURLWithPath: path).standardizedFileURL.path
    }
}
