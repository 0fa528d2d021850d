// Addresses and networks: read strictly, printed canonically.

import Testing

@testable import CEL

@Suite struct `A network address` {
    @Test(arguments: [
        ("192.168.0.1", "192.168.0.1"), ("2001:DB8:0:0:0:0:0:68", "2001:db8::68"), ("::", "::"), ("::1", "::1"),
        ("1::", "1::"), ("1:0:0:2:0:0:0:3", "1:0:0:2::3"), ("1:0:0:2:3:0:0:4", "1::2:3:0:0:4"),
        ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("0:1:2:3:4:5:6:7", "0:1:2:3:4:5:6:7"),
        ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("64:ff9b::1.2.3.4", "64:ff9b::102:304"),
        ("::ffff:c0a8:1", "192.168.0.1"), ("::1:0:0:0:0", "0:0:0:1::"),
    ])
    func `is read and printed`(text: String, expected: String) {
        #expect(outcome(.toIP, [.text(text)]) == expected)
        #expect(outcome(.isIP, [.text(text)]) == "true")
        #expect(outcome(.isCanonicalIP, [.text(text)]) == "\(text == expected)")
    }

    @Test(arguments: [
        "", "192.168.0.1.0", "192.168.0", "192.168.0.256", "192.168.00.1", "1.2.3.4 ", "1.2.3.-4", "2001:db8:::68",
        "fe80::1%en0", "::ffff:192.168.0.1", ":1", "1:", "::1::", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7", "12345::",
        "1:2:3:4:5:6:7::8", "::g", "1.2.3.4::", "::1.2.3", "::1.2.3.4:5", "192.168.0.1/24", "①.0.0.1", ".",
    ])
    func `is refused`(text: String) {
        #expect(outcome(.toIP, [.text(text)]) == "malformedText")
        #expect(outcome(.isIP, [.text(text)]) == "false")
        #expect(outcome(.isCanonicalIP, [.text(text)]) == "malformedText")
    }

    @Test(
        arguments: [
            ("0.0.0.0", .isUnspecified, "true"), ("::", .isUnspecified, "true"), ("127.3.0.1", .isLoopback, "true"),
            ("::1", .isLoopback, "true"), ("192.168.0.1", .isGlobalUnicast, "true"),
            ("ff00::1", .isGlobalUnicast, "false"),
            ("255.255.255.255", .isGlobalUnicast, "false"), ("2001:db8::abcd", .isGlobalUnicast, "true"),
            ("224.0.0.1", .isLinkLocalMulticast, "true"), ("224.0.1.1", .isLinkLocalMulticast, "false"),
            ("ff02::1", .isLinkLocalMulticast, "true"), ("fd00::1", .isLinkLocalMulticast, "false"),
            ("169.254.169.254", .isLinkLocalUnicast, "true"), ("fe80::1", .isLinkLocalUnicast, "true"),
            ("febf::1", .isLinkLocalUnicast, "true"), ("fec0::1", .isLinkLocalUnicast, "false"),
            ("10.0.0.1", .family, "4"), ("2001:db8::68", .family, "6"), ("10.0.0.1", .prefixLength, "noSuchOverload"),
            ("10.0.0.1", .masked, "noSuchOverload"), ("10.0.0.1", .toIP, "noSuchOverload"),
        ] as [(String, Function, String)]
    )
    func `is of kinds`(address: String, function: Function, expected: String) throws {
        #expect(outcome(function, [try converted(.toIP, address)]) == expected)
    }
}

@Suite struct `A network` {
    @Test(arguments: [
        ("192.168.0.1/24", "192.168.0.1/24"), ("2001:db8::/32", "2001:db8::/32"), ("0.0.0.0/0", "0.0.0.0/0"),
        ("::/128", "::/128"), ("192.168.0.0/", "malformedText"), ("192.168.0.0/33", "malformedText"),
        ("192.168.0.0/024", "malformedText"), ("192.168.0.0/+4", "malformedText"), ("::/129", "malformedText"),
        ("fe80::1%en0/24", "malformedText"), ("::ffff:192.168.0.1/24", "malformedText"), ("1.2.3.4", "malformedText"),
        ("::ffff:c0a8:1/112", "malformedText"), ("1.2.3.4/8/8", "malformedText"), ("/8", "malformedText"),
    ])
    func `is read and printed`(text: String, expected: String) {
        #expect(outcome(.toCIDR, [.text(text)]) == expected)
        #expect(outcome(.isCIDR, [.text(text)]) == "\(expected != "malformedText")")
    }

    @Test(
        arguments: [
            ("192.168.0.0/24", .containsIP, "192.168.0.1", "true"),
            ("192.168.0.0/24", .containsIP, "192.168.1.1", "false"),
            ("0.0.0.0/0", .containsIP, "1.2.3.4", "true"), ("0.0.0.0/0", .containsIP, "::1", "false"),
            ("192.168.0.0/24", .containsIP, "::ffff:c0a8:1", "true"), ("10.0.0.1/32", .containsIP, "10.0.0.1", "true"),
            ("2001:db8::/32", .containsIP, "2001:db8::1", "true"),
            ("2001:db8::/65", .containsIP, "2001:db8:0:0:8000::", "false"),
            ("::/0", .containsIP, "ffff::", "true"), ("192.168.0.0/24", .containsIP, "x", "malformedText"),
            ("192.168.0.0/24", .containsCIDR, "192.168.0.0/25", "true"),
            ("10.0.0.0/8", .containsCIDR, "10.0.0.0/8", "true"),
            ("192.168.0.0/24", .containsCIDR, "192.168.0.0/23", "false"), ("::/0", .containsCIDR, "::/64", "true"),
            ("2001:db8::/32", .containsCIDR, "2001:db8::/33", "true"),
            ("10.0.0.0/8", .containsCIDR, "11.0.0.0/16", "false"),
        ] as [(String, Function, String, String)]
    )
    func `contains`(network: String, function: Function, part: String, expected: String) throws {
        let network = try converted(.toCIDR, network)
        #expect(outcome(function, [network, .text(part)]) == expected)
        if let value = try? converted(function == .containsIP ? .toIP : .toCIDR, part) {
            #expect(outcome(function, [network, value]) == expected)
            let other: Function = function == .containsIP ? .containsCIDR : .containsIP
            #expect(outcome(other, [network, value]) == "noSuchOverload")
        }
    }

    @Test func `has an address, a prefix and a mask`() throws {
        let network = try converted(.toCIDR, "192.168.77.1/18")
        #expect(outcome(.toIP, [network]) == "192.168.77.1")
        #expect(outcome(.prefixLength, [network]) == "18")
        #expect(outcome(.masked, [network]) == "192.168.64.0/18")
        #expect(outcome(.masked, [try converted(.toCIDR, "2001:db8:ffff::1/33")]) == "2001:db8:8000::/33")
        #expect(outcome(.masked, [try converted(.toCIDR, "::ff/124")]) == "::f0/124")
        #expect(outcome(.family, [network]) == "noSuchOverload")
        #expect(outcome(.equal, [network, try converted(.toCIDR, "192.168.64.0/18")]) == "false")
    }
}
