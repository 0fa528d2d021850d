// Every spelling under which an admin's URL could reach what it must not.

import Testing

@testable import ControlPlane

@Suite struct `A provider's base URL` {
    @Test(arguments: [
        "https://api.openai.com/v1", "http://127.0.0.1:8000", "http://localhost:11434/v1", "http://10.0.0.7/v1",
        "http://[::1]:8000/v1", "HTTPS://Example.COM", "http://vllm.internal.",
        "https://my_resource.openai.azure.com/openai/v1/",
        "http://[fd12:3456::1]/v1", "http://192.168.1.2:65535/",
    ])
    func `may be a provider's`(url: String) {
        #expect(BaseURL.fault(in: url) == nil)
    }

    @Test(arguments: [
        "", "api.openai.com", "ftp://example.com", "file:///etc/passwd", "https://", "https:///v1", "http://user@host",
        "http://user:pw@host/", "http://host?x=1", "http://host/#f", "http://host/a b", "http://ho st/",
        "http://host\\@evil/",
        "http://host:0/", "http://host:65536/", "http://host:+80/", "http://host:/", "http://ho%73t/", "http://[::1",
        "http://[::1]x/",
        "http://169.254.169.254/latest", "http://169.254.169.254./", "http://2852039166/", "http://0xA9FEA9FE/",
        "http://0xa9.0xfe.0xa9.0xfe/", "http://0251.0376.0251.0376/", "http://169.254.43518/", "http://169.16689662/",
        "http://[::ffff:169.254.169.254]/", "http://[::ffff:a9fe:a9fe]/", "http://[::169.254.169.254]/",
        "http://[64:ff9b::169.254.169.254]/", "http://[2002:a9fe:a9fe::]/", "http://[fe80::1]/", "http://[febf::1]/",
        "http://[fe80::1%25eth0]/", "http://[::]/", "http://0.0.0.0/", "http://0/", "http://[fd00:ec2::254]/",
        "http://metadata.google.internal/", "http://METADATA.google.internal./", "http://100.100.100.200/",
        "http://192.0.0.192/", "http://224.0.0.1/", "http://255.255.255.255/", "http://[ff02::1]/",
        "http://１６９.254.169.254/",
        "http://a..b/", "http://host/../admin",
    ])
    func `may not be anything else`(url: String) {
        #expect(BaseURL.fault(in: url) != nil)
    }
}
