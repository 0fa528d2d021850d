// Secrets against the published vectors of each algorithm, and against what must not pass.

import Testing

@testable import Secrets

/// Hex from a vector; a typo in the test is reported, not trapped on.
private func unhex(_ text: String) throws -> [UInt8] { try #require(bytes(hex: text)) }

@Suite struct `SHA-256` {
    /// FIPS 180-4 examples (csrc.nist.gov, SHA256.pdf and SHA2_Additional.pdf).
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
        (
            "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
            "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
        ),
    ])
    func `gives the published digest`(message: String, digest: String) {
        #expect(SHA256.digest(Array(message.utf8)).hex == digest)
        #expect(SHA256.digest(Array(message.utf8).span).hex == digest)
    }

    @Test func `of a million letters is the published one`() {
        let digest = SHA256.digest([UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000))
        #expect(digest.hex == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    }

    @Test func `is the same from many threads at once`() async {
        let expected = SHA256.digest(Array("abc".utf8))
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<64 {
                group.addTask { (0..<200).allSatisfy { _ in SHA256.digest(Array("abc".utf8)) == expected } }
            }
            for await isSame in group { #expect(isSame) }
        }
    }
}

@Suite struct `A digest` {
    @Test func `survives bytes and hex`() throws {
        let digest = SHA256.digest([1, 2, 3])
        #expect(Digest(bytes: digest.bytes) == digest)
        #expect(Digest(hex: digest.hex.uppercased()) == digest)
        #expect(digest.bytes.count == 32)
        #expect(Digest(bytes: [1, 2]) == nil)
        #expect(Digest(hex: "zz") == nil)
    }

    @Test(arguments: 0..<32) func `differs in constant time when any byte does`(index: Int) throws {
        let digest = SHA256.digest([])
        var bytes = digest.bytes
        bytes[index] ^= 0x80
        let other = try #require(Digest(bytes: bytes))
        #expect(!Digest.isEqualInConstantTime(digest, other))
        #expect(Digest.isEqualInConstantTime(digest, digest))
        #expect(!isEqualInConstantTime(digest.bytes, bytes))
    }
}

@Suite struct `HMAC-SHA-256` {
    struct Vector: Sendable {
        let key: [UInt8]
        let message: [UInt8]
        let code: String
    }

    /// RFC 4231 §4, cases 1 to 4, 6 and 7 (5 is the truncated one).
    static let vectors = [
        Vector(
            key: .init(repeating: 0x0b, count: 20),
            message: Array("Hi There".utf8),
            code: "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        ),
        Vector(
            key: Array("Jefe".utf8),
            message: Array("what do ya want for nothing?".utf8),
            code: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        ),
        Vector(
            key: .init(repeating: 0xaa, count: 20),
            message: .init(repeating: 0xdd, count: 50),
            code: "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
        ),
        Vector(
            key: Array(1...25),
            message: .init(repeating: 0xcd, count: 50),
            code: "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"
        ),
        Vector(
            key: .init(repeating: 0xaa, count: 131),
            message: Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
            code: "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        ),
        Vector(
            key: .init(repeating: 0xaa, count: 131),
            message: Array(
                ("This is a test using a larger than block-size key and a larger than block-size data. "
                    + "The key needs to be hashed before being used by the HMAC algorithm.").utf8
            ),
            code: "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"
        ),
    ]

    @Test(arguments: vectors) func `gives the published code`(vector: Vector) {
        #expect(HMACSHA256.code(vector.message, key: vector.key).hex == vector.code)
    }

    @Test func `takes an empty key and an empty message`() {
        #expect(
            HMACSHA256.code([], key: []).hex == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"
        )
    }
}

@Suite struct `A sealing key` {
    struct Vector: Sendable {
        let key: String
        let nonce: String
        let plaintext: String
        let context: String
        let ciphertext: String
        let tag: String
    }

    /// McGrew & Viega, "The Galois/Counter Mode of Operation", appendix B, cases 13, 14 and 16, as submitted to NIST.
    static let vectors = [
        Vector(
            key: String(repeating: "0", count: 64),
            nonce: String(repeating: "0", count: 24),
            plaintext: "",
            context: "",
            ciphertext: "",
            tag: "530f8afbc74536b9a963b4f1c4cb738b"
        ),
        Vector(
            key: String(repeating: "0", count: 64),
            nonce: String(repeating: "0", count: 24),
            plaintext: String(repeating: "0", count: 32),
            context: "",
            ciphertext: "cea7403d4d606b6e074ec5d3baf39d18",
            tag: "d0d1c8a799996bf0265b98b5d48ab919"
        ),
        Vector(
            key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
            nonce: "cafebabefacedbaddecaf888",
            plaintext: "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                + "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
            context: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            ciphertext: "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                + "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
            tag: "76fc6ece0f4e1768cddf8853bb2d551b"
        ),
    ]

    @Test(arguments: vectors) func `seals and opens the published vector`(vector: Vector) throws {
        let key = try SealingKey(bytes: unhex(vector.key))
        let nonce = try unhex(vector.nonce)
        let context = try unhex(vector.context)
        let sealed = try key.seal(unhex(vector.plaintext), context: context, nonce: nonce)
        #expect(hex(sealed) == vector.nonce + vector.ciphertext + vector.tag)
        #expect(try hex(key.open(sealed, context: context)) == vector.plaintext)
    }

    @Test func `refuses every changed bit, a cut and another context or key`() throws {
        let key = SealingKey.generate()
        let context = Array("prv_1".utf8)
        let sealed = try key.seal(Array("sk-secret".utf8), context: context)
        #expect(try key.open(sealed, context: context) == Array("sk-secret".utf8))
        for bit in 0..<8 * sealed.count {
            var forged = sealed
            forged[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: SecretsError.notAuthentic) { try key.open(forged, context: context) }
        }
        for count in 0..<sealed.count {
            #expect(throws: SecretsError.notAuthentic) { try key.open(Array(sealed.prefix(count)), context: context) }
        }
        #expect(throws: SecretsError.notAuthentic) { try key.open(sealed, context: Array("prv_2".utf8)) }
        #expect(throws: SecretsError.notAuthentic) { try key.open(sealed, context: []) }
        #expect(throws: SecretsError.notAuthentic) { try SealingKey.generate().open(sealed, context: context) }
    }

    @Test func `never seals twice alike`() throws {
        let key = SealingKey.generate()
        #expect(try key.seal([1], context: []) != key.seal([1], context: []))
    }

    @Test func `has 32 bytes`() {
        #expect(throws: SecretsError.wrongLength(expected: 32, got: 31)) {
            try SealingKey(bytes: .init(repeating: 1, count: 31))
        }
    }
}

@Suite struct `A signing key` {
    struct Vector: Sendable {
        let seed: String
        let key: String
        let message: String
        let signature: String
    }

    /// RFC 8032 §7.1, tests 1 to 3.
    static let vectors = [
        Vector(
            seed: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            key: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            message: "",
            signature: "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555"
                + "fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
        Vector(
            seed: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            key: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            message: "72",
            signature: "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da0"
                + "85ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
        Vector(
            seed: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            key: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            message: "af82",
            signature: "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac1"
                + "8ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ]

    @Test(arguments: vectors) func `gives the published key and signature`(vector: Vector) throws {
        let key = try SigningKey(seed: unhex(vector.seed))
        let message = try unhex(vector.message)
        #expect(hex(key.verifyingKey.bytes) == vector.key)
        #expect(hex(key.sign(message)) == vector.signature)
        #expect(hex(key.seed) == vector.seed)
        let verifyingKey = try VerifyingKey(bytes: unhex(vector.key))
        #expect(try verifyingKey.isValid(signature: unhex(vector.signature), for: message))
        #expect(verifyingKey == key.verifyingKey)
        #expect(verifyingKey.id == Array(SHA256.digest(verifyingKey.bytes).bytes.prefix(8)))
    }

    @Test func `is refused for another message, key or signature`() throws {
        let key = SigningKey.generate()
        let signature = key.sign([1, 2, 3])
        #expect(key.verifyingKey.isValid(signature: signature, for: [1, 2, 3]))
        #expect(!key.verifyingKey.isValid(signature: signature, for: [1, 2]))
        #expect(!SigningKey.generate().verifyingKey.isValid(signature: signature, for: [1, 2, 3]))
        for bit in 0..<512 {
            var forged = signature
            forged[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(!key.verifyingKey.isValid(signature: forged, for: [1, 2, 3]))
        }
        #expect(!key.verifyingKey.isValid(signature: [], for: [1, 2, 3]))
        #expect(!key.verifyingKey.isValid(signature: signature + [0], for: [1, 2, 3]))
        #expect(throws: SecretsError.wrongLength(expected: 32, got: 0)) { try SigningKey(seed: []) }
        #expect(throws: SecretsError.wrongLength(expected: 32, got: 33)) {
            try VerifyingKey(bytes: .init(repeating: 0, count: 33))
        }
        // Not a point of the curve: a key that no signature satisfies.
        let nonsense = try VerifyingKey(bytes: .init(repeating: 0xff, count: 32))
        #expect(!nonsense.isValid(signature: signature, for: [1, 2, 3]))
    }
}

@Suite struct `Random text` {
    @Test(arguments: [(SecureRandom.Alphabet.base62, 62), (.base36, 36)])
    func `uses each character equally often`(alphabet: SecureRandom.Alphabet, size: Int) {
        let text = SecureRandom.string(length: 1000 * size, alphabet: alphabet)
        #expect(text.utf8.count == 1000 * size)
        var counts: [UInt8: Int] = [:]
        for character in text.utf8 { counts[character, default: 0] += 1 }
        #expect(counts.count == size)
        // 1000 ± 7 standard deviations of about 31.6; the bias of a plain remainder would be 25 %.
        #expect(counts.values.allSatisfy { 780...1220 ~= $0 })
    }

    @Test func `is never repeated`() {
        let texts = Set((0..<1000).map { _ in SecureRandom.string(length: 22, alphabet: .base62) })
        #expect(texts.count == 1000)
        #expect(SecureRandom.bytes(0).isEmpty)
        #expect(SecureRandom.bytes(32) != SecureRandom.bytes(32))
    }
}

@Suite struct `Hex` {
    @Test func `goes both ways and refuses what it is not`() {
        let all = Array(UInt8.min...UInt8.max)
        #expect(bytes(hex: hex(all)) == all)
        #expect(bytes(hex: hex(all).uppercased()) == all)
        #expect(hex([0, 1, 0xab, 0xff]) == "0001abff")
        #expect(bytes(hex: "") == [])
        for bad in ["0", "0g", " 0", "é0", "0x00"] { #expect(bytes(hex: bad) == nil) }
    }
}

@Suite struct `A redacted value` {
    struct Holder { let token: Redacted<String> }

    @Test func `is shown to nobody who did not ask`() {
        let secret = Redacted("hunter2")
        var dumped = ""
        dump(Holder(token: secret), to: &dumped)
        for text in [
            "\(secret)", String(describing: secret), String(reflecting: secret), dumped, "\(Holder(token: secret))",
            String(reflecting: Optional(secret)), "\([secret])",
        ] {
            #expect(!text.contains("hunter2"))
            #expect(text.contains("[redacted]"))
        }
        #expect(Mirror(reflecting: secret).children.isEmpty)
        #expect(secret.reveal() == "hunter2")
    }

    @Test func `covers the keys as well`() throws {
        let seed = [UInt8](repeating: 0x41, count: 32)
        for key in [try SigningKey(seed: seed) as Any, try SealingKey(bytes: seed)] {
            var dumped = ""
            dump(key, to: &dumped)
            #expect(!"\(key) \(String(reflecting: key)) \(dumped)".contains("65"))
            #expect(Mirror(reflecting: key).children.isEmpty)
        }
    }
}
