// What people read when an expression is wrong: the whole text, place and caret included.

import Testing

@testable import CEL

/// All problems of a source, as they are shown; "no problem" when it has none.
private func shown(_ source: [UInt8], blocks: Bool = false) -> String {
    do throws(Problems) {
        _ = try Parser.parse(source, options: ParserOptions(allowsBlocks: blocks))
        return "no problem"
    } catch {
        return SourceText(source).render(error)
    }
}

private func shown(_ source: String) -> String { shown(Array(source.utf8)) }

@Suite struct `A problem` {
    @Test(arguments: [
        (
            "1 + 2 *",
            """
            ERROR: 1:8: expected an expression, but the expression ends
             | 1 + 2 *
             |        ^
            """
        ),
        (
            "",
            """
            ERROR: 1:1: expected an expression, but the expression ends
             |\u{20}
             | ^
            """
        ),
        (
            "request.model == 'a' and user == 'b'",
            """
            ERROR: 1:22: expected an operator or the end, found `and`; the logical and is `&&`
             | request.model == 'a' and user == 'b'
             |                      ^
            """
        ),
        (
            "f(a,\n  (b + c]\n)",
            """
            ERROR: 2:9: expected an operator or `)`, found `]`; the `(` at 2:3 is open
             |   (b + c]
             |         ^
            """
        ),
        (
            "[1, 2",
            """
            ERROR: 1:6: expected an operator, `,` or `]`, but the expression ends; the `[` at 1:1 is open
             | [1, 2
             |      ^
            """
        ),
        (
            "f(1,)",
            """
            ERROR: 1:5: expected an argument, found `)`; a call has no comma behind its last one
             | f(1,)
             |     ^
            """
        ),
        (
            "a ? b ? 1 : 2 : 3",
            """
            ERROR: 1:7: expected `:`, found `?`; a conditional inside another one is in parentheses
             | a ? b ? 1 : 2 : 3
             |       ^
            """
        ),
        (
            "a ? b",
            """
            ERROR: 1:6: expected `:` and what the conditional is otherwise, but the expression ends
             | a ? b
             |      ^
            """
        ),
        (
            "'héé' + 'x\ny'",
            """
            ERROR: 1:9: the string does not end on its line; one of several lines is in '''
             | 'héé' + 'x
             |         ^
            """
        ),
        (
            "'''a",
            """
            ERROR: 1:1: the string does not end: expected '''
             | '''a
             | ^
            """
        ),
        (
            #"'a\/b' + "\ud83d" + b'\u00e9' + '\x4'"#,
            #"""
            ERROR: 1:3: `\/` is no escape; a backslash itself is written `\\`
             | 'a\/b' + "\ud83d" + b'\u00e9' + '\x4'
             |   ^
            ERROR: 1:11: there is no such code point: not U+D800 to U+DFFF, not above U+10FFFF
             | 'a\/b' + "\ud83d" + b'\u00e9' + '\x4'
             |           ^
            ERROR: 1:23: bytes have no \u and \U escapes; write the octets with \x
             | 'a\/b' + "\ud83d" + b'\u00e9' + '\x4'
             |                       ^
            ERROR: 1:34: the escape needs 2 hexadecimal digits
             | 'a\/b' + "\ud83d" + b'\u00e9' + '\x4'
             |                                  ^
            """#
        ),
        (
            "9223372036854775808 + 18446744073709551616u + 1e1000",
            """
            ERROR: 1:1: the number is out of range: an int is -9223372036854775808 to 9223372036854775807
             | 9223372036854775808 + 18446744073709551616u + 1e1000
             | ^
            ERROR: 1:23: the number is out of range: a uint is 0 to 18446744073709551615
             | 9223372036854775808 + 18446744073709551616u + 1e1000
             |                       ^
            ERROR: 1:47: the number is out of range: a double is at most 1.7976931348623157e308
             | 9223372036854775808 + 18446744073709551616u + 1e1000
             |                                               ^
            """
        ),
        (
            "for + a.for + [1].map(if, 2) + while()",
            """
            ERROR: 1:1: `for` is a reserved word and cannot be a name
             | for + a.for + [1].map(if, 2) + while()
             | ^
            ERROR: 1:23: `if` is a reserved word and cannot be a name
             | for + a.for + [1].map(if, 2) + while()
             |                       ^
            ERROR: 1:32: `while` is a reserved word and cannot be a name
             | for + a.for + [1].map(if, 2) + while()
             |                                ^
            """
        ),
        (
            "[1].all(x.y, true) || [1].existsOne(i, i, i > 0) || cel.bind(f(1, 2), 1, 2)",
            """
            ERROR: 1:9: the variable of all() must be a simple name
             | [1].all(x.y, true) || [1].existsOne(i, i, i > 0) || cel.bind(f(1, 2), 1, 2)
             |         ^
            ERROR: 1:40: the two variables of existsOne() need different names
             | [1].all(x.y, true) || [1].existsOne(i, i, i > 0) || cel.bind(f(1, 2), 1, 2)
             |                                        ^
            ERROR: 1:62: the variable of bind() must be a simple name
             | [1].all(x.y, true) || [1].existsOne(i, i, i > 0) || cel.bind(f(1, 2), 1, 2)
             |                                                              ^
            """
        ),
        (
            "has(x) && has(x['a']) && has(a.?b)",
            """
            ERROR: 1:5: has() needs a field's selection, as in `has(a.b)`
             | has(x) && has(x['a']) && has(a.?b)
             |     ^
            ERROR: 1:15: has() needs a field's selection, as in `has(a.b)`
             | has(x) && has(x['a']) && has(a.?b)
             |               ^
            ERROR: 1:30: has() needs a field's selection, as in `has(a.b)`
             | has(x) && has(x['a']) && has(a.?b)
             |                              ^
            """
        ),
        (
            "'''a \\\nb'''",
            """
            ERROR: 1:6: this is no escape; a backslash itself is written `\\\\`
             | '''a \\
             |      ^
            """
        ),
        (
            "a.in",
            """
            ERROR: 1:3: expected a field's name, found `in`; a map's key of that name is read with `["in"]`
             | a.in
             |   ^
            """
        ),
        (
            "a = 'b' +",
            """
            ERROR: 1:3: `=` is no operator; `==` compares
             | a = 'b' +
             |   ^
            """
        ),
        (
            "model == “gpt”",
            """
            ERROR: 1:10: unexpected character `“` (U+201C); strings are in `"` or `'`
             | model == “gpt”
             |          ^
            """
        ),
        (
            "a b ; c",
            """
            ERROR: 1:3: expected an operator or the end, found `b`
             | a b ; c
             |   ^
            ERROR: 1:5: unexpected character `;`
             | a b ; c
             |     ^
            """
        ),
        (
            "!-a",
            """
            ERROR: 1:2: expected an expression, found `-`; `!` and `-` do not mix without parentheses
             | !-a
             |  ^
            """
        ),
        (
            "0x + 1",
            """
            ERROR: 1:2: expected an operator or the end, found `x`; this is no number: `0x`
             | 0x + 1
             |  ^
            """
        ),
        (
            "\ta\u{1B}[2J +",
            """
            ERROR: 1:3: unexpected character U+001B
             |  a [2J +
             |   ^
            """
        ),
    ])
    func `is shown with its place and its line`(source: String, text: String) { #expect(shown(source) == text) }

    @Test(arguments: [
        "1.", "1.0u", "0x", "a.5", "1.5.5", "rb'a'", "'\\0'", "'\\400'", "'\\s'", "\"\\U00110000\"", "'\\", "'a\\'",
        "`a`",
        "a.``", "a.`b", "a.`b$`", "a.`b`()", "a.?b()", "a.?", "a.", ".", ". 5", ".in", "true.false", "a.null", "in",
        "a in",
        "as", "f(,)", "f(1 2)", "f(", "()", "(a", "a)", "[1,,]", "[,1]", "[?]", "{,,}", "{a}", "{a:}", "{a:1 b:2}",
        "{?a}", "A{a}", "A{1: 2}", "A{a: 1,, }", "f(){a: 1}", "(A){a: 1}", "a.`b`{c: 1}", "A{}{}", "a[", "a[]", "a[?]",
        "a ? b", "a ? : b", "a ? b :", "? a", "-", "!", "!-x", "-!x", "- -", "a &", "a | b", "a === b", "a =! b", "a b",
        "1 1", "'a' 'b'", "a + * b", "a && || b", "#", "a$", "é", "\0", "@a", "a;", "[1].map(1, 2)", "[1].map(x.y, 2)",
        "[1].all(.x, true)", "[1].all('x', true)", "a.transformMap(k, k, v)", "a.exists(x, )", "cel.bind(1, 2, 3)",
        "cel.bind(a.b, 2, 3)", "[1].map(cel.iterVar(0, 0), 1)", "has(1)", "has(f())", "has(a())", "has(a[0])",
        "has(!a.b)",
        "// only this", "a /* b */", "a // b\r c ) \n )", "9223372036854775808", "-9223372036854775809", "1e309",
        "-0x8000000000000001", "99999999999999999999", "0x1FFFFFFFFFFFFFFFFu", "for", "for()", ".while", "let.x",
    ])
    func `is found in what is no expression`(source: String) { #expect(shown(source) != "no problem") }

    @Test(arguments: [
        "cel.block(a, 1)", "cel.block([?a], 1)", "cel.index(a)", "cel.index(-1)", "cel.index(99999999999999999999)",
        "cel.iterVar(1, b)", "cel.iterVar(1,", "[1].map(cel.iterVar(1), 1)", "[1].map(cel.index(1), 1)", "cel.index(1",
    ])
    func `is found in what is no block`(source: String) {
        #expect(shown(Array(source.utf8), blocks: true) != "no problem")
    }

    @Test func `is shown for octets that are no text`() {
        #expect(
            shown([0x27, 0xC3, 0xA9, 0x61, 0xFF, 0x27]) == """
                ERROR: 1:4: the expression is not valid UTF-8
                 | 'éa�'
                 |    ^
                """
        )
    }

    @Test func `is shown within a part of a long line`() {
        let source = String(repeating: "a + ", count: 50) + "é ) " + String(repeating: "+ b", count: 50)
        #expect(
            shown(source) == """
                ERROR: 1:201: unexpected character `é` (U+00E9); names are ASCII
                 | …\(String(repeating: "a + ", count: 15))é ) \(String(repeating: "+ b", count: 12))…
                 |  \(String(repeating: " ", count: 60))^
                """
        )
    }

    @Test func `is one of at most ten`() {
        let problems = shown(String(repeating: "has(a) || ", count: 30) + "b")
        #expect(problems.split(separator: "\n").filter { $0.hasPrefix("ERROR") }.count == 10)
    }

    @Test(arguments: [
        ("", 0, 1, 1), ("a\nb", 2, 2, 1), ("a\r\nbc", 4, 2, 2), ("é=", 2, 1, 2), ("a", 9, 1, 2), ("a\n", 2, 2, 1),
        ("a", -1, 1, 1),
    ])
    func `stands at a line and a column`(source: String, offset: Int, line: Int, column: Int) {
        #expect(SourceText(source).position(of: offset) == SourceText.Position(line: line, column: column))
    }
}
