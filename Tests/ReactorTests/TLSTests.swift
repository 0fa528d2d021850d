// Who the upstream is, is checked before a byte of the request leaves.

import Foundation
import Reactor
import Testing

@Suite struct `Over TLS` {
    @Test func `only a peer with a trusted certificate for its name gets the request`() async throws {
        let server = try await TLSServer(subject: "DNS:localhost")
        let other = try await TLSServer(subject: "DNS:elsewhere.example")
        let http = try HTTPHarness()
        let trusting = { (server: TLSServer, host: String) in
            HTTPClientRequest(method: .get, url: "https://\(host):\(server.port)/", caFile: server.certificate)
        }
        let good = await http.fetch(trusting(server, "localhost"))
        #expect(good.outcome == .complete)
        #expect(good.heads.first?.status == 200)
        for request in [
            HTTPClientRequest(method: .get, url: "https://localhost:\(server.port)/"),  // nobody vouches for it
            HTTPClientRequest(method: .get, url: "https://localhost:\(server.port)/", caFile: other.certificate),
            trusting(other, "localhost"), trusting(server, "127.0.0.1"),  // another name
            HTTPClientRequest(method: .get, url: "https://localhost:\(server.port)/", caFile: "/nonexistent"),
        ] {
            let failure = await http.fetch(request).failure
            #expect(failure?.reason == .tls)
            #expect(failure?.sentRequest == false)
        }
        #expect(await http.fetch(trusting(server, "localhost")).outcome == .complete)
    }

    @Test func `a peer that asks who the client is gets told, by its certificate`() async throws {
        let client = try await TLSServer(subject: "DNS:client.example")
        let server = try await TLSServer(subject: "DNS:localhost", clients: client.certificate)
        let http = try HTTPHarness()
        var request = HTTPClientRequest(
            method: .get,
            url: "https://localhost:\(server.port)/",
            caFile: server.certificate
        )
        #expect(await http.fetch(request).outcome != .complete)
        request.clientIdentity = ClientIdentity(certificateFile: client.certificate, keyFile: client.key)
        let good = await http.fetch(request)
        #expect(good.outcome == .complete && good.heads.first?.status == 200)
        request.clientIdentity = ClientIdentity(certificateFile: server.certificate, keyFile: server.key)
        #expect(await http.fetch(request).outcome != .complete)
        request.clientIdentity = ClientIdentity(certificateFile: "/nonexistent", keyFile: client.key)
        let failure = await http.fetch(request).failure
        #expect(failure?.reason == .tls && failure?.sentRequest == false)
    }

    @Test func `a peer that speaks plain text gets nothing`() async throws {
        let server = TestServer { connection in
            connection.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            connection.waitForEnd()
        }
        let failure = try await HTTPHarness().get("https://127.0.0.1:\(server.port)/").failure
        #expect(failure?.reason == .tls)
        #expect(failure?.sentRequest == false)
    }
}

/// `openssl s_server` with a certificate of its own, gone with the test.
final class TLSServer: @unchecked Sendable {  // its parts do not change after `init`
    let port = TestServer.freePort()
    let certificate: String
    let key: String
    private let directory: URL
    private let process: ChildProcess

    /// Starts one that takes only clients whose certificate is this one, if one is given.
    init(subject: String, clients: String? = nil) async throws {
        directory = FileManager.default.temporaryDirectory.appending(path: "weir-tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        certificate = directory.appending(path: "cert.pem").path
        key = directory.appending(path: "key.pem").path
        let openssl = "/usr/bin/openssl"
        try ChildProcess(
            openssl,
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
                "-subj", "/CN=test", "-addext", "subjectAltName=\(subject)", "-keyout", key, "-out", certificate,
            ]
        ).waitForEnd()
        process = try ChildProcess(
            openssl,
            ["s_server", "-accept", "\(port)", "-cert", certificate, "-key", key, "-www", "-quiet"]
                + (clients.map { ["-Verify", "1", "-verify_return_error", "-CAfile", $0] } ?? [])
        )
        let http = try HTTPHarness()
        let url = "http://127.0.0.1:\(port)/"
        #expect(await eventually { await http.get(url).failure?.reason != .connect })
    }

    deinit {
        do { try FileManager.default.removeItem(at: directory) } catch { print("left behind: \(directory.path)") }
    }
}
