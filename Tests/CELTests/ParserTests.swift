// What the parser accepts, and the tree that it makes of it.

import Testing

@testable import CEL

private func parsed(_ source: String, blocks: Bool = false) throws -> String {
    let tree = try Parser.parse(Array(source.utf8), options: ParserOptions(allowsBlocks: blocks))
    #expect(tree.flaw == nil)
    return tree.text
}

@Suite struct `A parser` {
    @Test(arguments: [
        ("a + b * c - d", "(_-_ (_+_ a (_*_ b c)) d)"),
        ("a / b % c", "(_%_ (_/_ a b) c)"),
        ("1 == 1 == true", "(_==_ (_==_ 1 1) true)"),
        ("2 in [1] == false", "(_==_ (@in 2 [1]) false)"),
        ("a < b <= c > d >= e != f", "(_!=_ (_>=_ (_>_ (_<=_ (_<_ a b) c) d) e) f)"),
        ("a || b && c || d", "(|| a (&& b c) d)"),
        ("a && b && c || d", "(|| (&& a b c) d)"),
        ("(a || b) || c", "(|| (|| a b) c)"),
        ("a ? b : c ? d : e", "(? a b (? c d e))"),
        ("a || b ? c || d : e || f", "(? (|| a b) (|| c d) (|| e f))"),
        ("a ? (b ? 1 : 2) : 3", "(? a (? b 1 2) 3)"),
        ("a?b:c", "(? a b c)"),
        ("a?.b:.c", "(? a .b .c)"),
        ("a ?.5:1", "(? a 0.5 1)"),
        ("(((a)))", "a"),
        ("a - -1", "(_-_ a -1)"),
        ("a -1", "(_-_ a 1)"),
        ("a--1", "(_-_ a -1)"),
        ("a // b\n + // c\r\n d // e", "(_+_ a d)"),
        ("\t\u{0C}\r\na ", "a"),
        ("1in[1]", "(@in 1 [1])"),
    ])
    func `groups operators by how they bind`(source: String, tree: String) throws {
        #expect(try parsed(source) == tree)
    }

    @Test(arguments: [
        ("!a", "(!_ a)"), ("!!a", "(!_ (!_ a))"), ("!!!a", "(!_ a)"), ("!!!!a", "(!_ (!_ a))"),
        ("!true", "(!_ true)"), ("!!true", "true"), ("!!!false", "(!_ false)"),
        ("-a", "(-_ a)"), ("--a", "(-_ (-_ a))"), ("---a", "(-_ a)"), ("-a.b", "(-_ a.b)"), ("-(1)", "(-_ 1)"),
        ("-1", "-1"), ("--1", "1"), ("---1", "-1"), ("- 1", "-1"), ("-1.5", "-1.5"), ("--1.5", "1.5"),
        ("-0.0", "-0.0"), ("-1.f()", "(-1:f)"), ("--1.f()", "(-_ (-1:f))"), ("!-1", "(!_ -1)"),
        ("-9223372036854775808", "-9223372036854775808"), ("-0x8000000000000000", "-9223372036854775808"),
        ("--9223372036854775808", "(-_ -9223372036854775808)"), ("-1u", "(-_ 1u)"), ("!a == b", "(_==_ (!_ a) b)"),
    ])
    func `folds signs as far as nothing changes`(source: String, tree: String) throws {
        #expect(try parsed(source) == tree)
    }

    @Test(arguments: [
        ("01", "1"), ("00", "0"), (".5", "0.5"), ("1e5", "100000.0"), (".1e3", "100.0"), ("1E-2", "0.01"),
        ("1.5e+3", "1500.0"), ("0x1F", "31"), ("0xFFu", "255u"), ("1U", "1u"), ("1.e1", "1.e1"),
        ("9223372036854775807", "9223372036854775807"), ("18446744073709551615u", "18446744073709551615u"),
        ("0xFFFFFFFFFFFFFFFFu", "18446744073709551615u"), ("1e-400", "0.0"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("true", "true"), ("false", "false"), ("null", "null"),
    ])
    func `reads numbers and constants`(source: String, tree: String) throws { #expect(try parsed(source) == tree) }

    @Test(arguments: [
        (#"'a"b'"#, "\"a\"b\""), (#""a'b""#, "\"a'b\""), (#"'''a'b''c'''"#, "\"a'b''c\""), ("''", "\"\""),
        (#""""""""#, "\"\""), ("'''a\nb\r\nc\rd'''", "\"a\nb\nc\nd\""), (#"r'\n'"#, #""\n""#), ("R\"\\\"", "\"\\\""),
        (#"'\a\b\f\n\r\t\v'"#, "\"\u{07}\u{08}\u{0C}\n\r\t\u{0B}\""), (#"'\\\?\"\'\`'"#, #""\?"'`""#),
        (#"'\x41\X42\u00e9\U0001F600\101\377\xff'"#, "\"ABé😀Aÿÿ\""), (#"b'\xff\377é'"#, "bff.ff.c3.a9"),
        (#"b'\x00a'"#, "b0.61"), (#"bR'\x'"#, "b5c.78"), (#"Br"\x""#, "b5c.78"), (#"B'a'"#, "b61"),
        ("'héllo 世界'", "\"héllo 世界\""), (#"'\000'"#, "\"\0\""),
    ])
    func `reads strings and bytes`(source: String, tree: String) throws { #expect(try parsed(source) == tree) }

    @Test(arguments: [
        ("a.b.c", "a.b.c"), (".a.b", ".a.b"), ("a.b(c).d", "(a:b c).d"), ("f(a, b)[c]", "(f a b)[c]"),
        (".f(a)", "(.f a)"), ("size(size)", "(size size)"), ("{'as': 1}.as", "{\"as\": 1}.as"),
        ("a.package()", "(a:package)"), ("m.`content-type`", "m.content-type"), ("m.`/v1/a b`.c", "m./v1/a b.c"),
        ("a.?b", "a.?b"), ("a.?b.c", "a.?b.c"), ("a.?`b-c`", "a.?b-c"), ("a[?b]", "a[?b]"), ("a[b][c]", "a[b][c]"),
        ("[]", "[]"), ("[,]", "[]"), ("[1,]", "[1]"), ("[?a, b, ?c.?d]", "[?a, b, ?c.?d]"),
        ("{}", "{}"), ("{,}", "{}"), ("{a: 1, 'b': 2,}", "{a: 1, \"b\": 2}"), ("{?a: b}", "{?a: b}"),
        ("{a ? b : c : d}", "{(? a b c): d}"), ("{'a': 1}['a']", "{\"a\": 1}[\"a\"]"),
        ("A{}", "A{}"), ("a.b.C{f: 1, g: [2],}", "a.b.C{f: 1, g: [2]}"), (".a.C{?f: x}", ".a.C{?f: x}"),
        ("A{`f-g`: 1}.h", "A{f-g: 1}.h"), ("A{,}", "A{}"), ("f(A{x: B{}}, c)", "(f A{x: B{}} c)"),
        ("a[.b]", "a[.b]"), ("[1, 2].size()", "([1, 2]:size)"), ("'a'.size()", "(\"a\":size)"), ("int_", "int_"),
        ("trueish + inner + nullable", "(_+_ (_+_ trueish inner) nullable)"),
    ])
    func `reads names, calls and aggregates`(source: String, tree: String) throws {
        #expect(try parsed(source) == tree)
    }

    @Test(arguments: [
        ("has(a.b)", "has(a.b)"), ("has(a.b.`c-d`)", "has(a.b.c-d)"), ("has(a.?b.c)", "has(a.?b.c)"),
        ("has((a.b))", "has(a.b)"), ("has(a, b)", "(has a b)"), ("x.has(a)", "(x:has a)"), (".has(a)", "(.has a)"),
        ("a.all(x, x > 0)", "(all a x => (_>_ x 0))"), ("a.all(k, v, k == v)", "(all a k,v => (_==_ k v))"),
        ("a.exists(x, x)", "(exists a x => x)"), ("a.exists(k, v, v)", "(exists a k,v => v)"),
        ("a.exists_one(x, x)", "(existsOne a x => x)"), ("a.existsOne(k, v, v)", "(existsOne a k,v => v)"),
        ("a.map(x, x + 1)", "(map a x => (_+_ x 1))"), ("a.map(x, x > 1, x)", "(map a x if (_>_ x 1) => x)"),
        ("a.filter(x, x)", "(filter a x => x)"), ("a.sortBy(x, x.y)", "(sortBy a x => x.y)"),
        ("a.transformList(i, v, v)", "(transformList a i,v => v)"),
        ("a.transformList(i, v, i > 0, v)", "(transformList a i,v if (_>_ i 0) => v)"),
        ("a.transformMap(k, v, v)", "(transformMap a k,v => v)"),
        ("a.transformMap(k, v, k, v)", "(transformMap a k,v if k => v)"),
        ("a.transformMapEntry(k, v, {v: k})", "(transformMapEntry a k,v => {v: k})"),
        ("a.transformMapEntry(k, v, k, {v: k})", "(transformMapEntry a k,v if k => {v: k})"),
        ("a.optMap(x, x)", "(optMap a x => x)"), ("a.optFlatMap(x, x.?y)", "(optFlatMap a x => x.?y)"),
        ("cel.bind(x, 1, x + x)", "(bind x 1 => (_+_ x x))"), (".cel.bind(x, 1, x)", "(.cel:bind x 1 x)"),
        ("[1].map(x)", "([1]:map x)"), ("a.all()", "(a:all)"), ("a.existsOne(x, y)", "(a:existsOne x y)"),
        ("all(x, y)", "(all x y)"), ("{'all': 1}.all", "{\"all\": 1}.all"), ("cel.bind", "cel.bind"),
        ("a.filter(x, [x, f(x, 1)].exists(y, y))", "(filter a x => (exists [x, (f x 1)] y => y))"),
        ("cel.index(0)", "(cel:index 0)"), ("cel.block([1], 2)", "(cel:block [1] 2)"),
    ])
    func `tells macros from calls by name and number of arguments`(source: String, tree: String) throws {
        #expect(try parsed(source) == tree)
    }

    @Test(arguments: [
        ("cel.block([1, cel.index(0) + 1], cel.index(1))", "(block [1, (_+_ @index0 1)] => @index1)"),
        ("[1].map(cel.iterVar(0, 1), cel.iterVar(0, 1))", "(map [1] @it:0:1 => @it:0:1)"),
        ("has(cel.index(0).a)", "has(@index0.a)"),
    ])
    func `reads blocks when they are allowed`(source: String, tree: String) throws {
        #expect(try parsed(source, blocks: true) == tree)
    }

    @Test(arguments: [
        ("a + b", 2), ("a.bcd", 2), ("a.bcd()", 2), ("  f(x)", 2), ("a[0]", 1), (" [1]", 1), ("a ? b : c", 2),
        ("a && b && c", 2), ("-1", 0), ("- a", 0), ("a.all(x, x)", 2), ("cel.bind(x, 1, x)", 4), ("x.A{f: 1}", 0),
        (".x", 0), ("has(a.b)", 6), ("1 in [1]", 2), ("(a)", 1),
    ])
    func `points at signs and names`(source: String, offset: Int) throws {
        let tree = try Parser.parse(Array(source.utf8))
        #expect(tree[tree.root].offset == offset)
    }

    @Test func `reads every row of the conformance suite`() throws {
        #expect(SyntaxRow.all.count == 1856)
        var literals = 0
        for row in SyntaxRow.all {
            do {
                let source = Array(row.expression.utf8)
                let tree = try Parser.parse(source, options: ParserOptions(allowsBlocks: true))
                #expect(tree.flaw == nil, "\(row.id)")
                guard case .literal(let value) = tree[tree.root].kind, let expected = row.literal else { continue }
                literals += 1
                #expect(value.syntax == expected, "\(row.id)")
            } catch {
                Issue.record("\(row.id)\n\(SourceText(row.expression).render(error))")
            }
        }
        #expect(literals > 100)
    }
}
