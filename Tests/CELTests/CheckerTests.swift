// What the check accepts, which types it finds, and what it says of mistakes.

import Foundation
import Testing

@testable import CEL

func checked(_ source: String, _ environment: Environment = Environment()) throws -> Checked {
    try Checker.check(Parser.parse(Array(source.utf8)), in: environment)
}

/// What a mistake's author reads: `offset: message` on a line each; the type if there is no mistake.
func verdict(_ source: String, _ environment: Environment = Environment()) throws -> String {
    do {
        return try checked(source, environment).type.description
    } catch let problems as Problems {
        return problems.problems.map { "\($0.offset): \($0.message)" }.joined(separator: "\n")
    }
}

extension Environment {
    /// Variables like those of a gateway.
    static let gateway = Environment(variables: [
        Variable("request.model", .string), Variable("request.user", .string), Variable("request.max_tokens", .int),
        Variable("request.auth.subject", .string), Variable("app.tier", .string),
        Variable("app.tags", .list(.string)), Variable("body", .dyn), Variable("headers", .map(.string, .string)),
        Variable("name", .wrapper(.string)),
    ])
}

@Suite struct `The check` {
    @Test func `passes every row that is meant to be checked, with the row's type`() throws {
        // The row's name says that it is an error of the check; the suite's own runner takes it for one of evaluation.
        let refused = ["network_ext/ip_type/is_ip_cidr_compile_error"]
        #expect(CheckRow.plain.count == 1760 && CheckRow.messages.count == 96)
        for row in CheckRow.all where row.isChecked && !refused.contains(row.id) {
            do {
                let type = try Checker.check(row.tree(), in: row.environment).type.description
                if let expected = row.type { #expect(type == expected, "\(row.id)") }
            } catch let problems as Problems {
                Issue.record("\(row.id): \(row.expression)\n\(problems.problems)")
            }
        }
        for row in CheckRow.all where refused.contains(row.id) {
            #expect(throws: Problems.self) { try Checker.check(row.tree(), in: row.environment) }
        }
    }

    @Test func `says how many numbers a call can compare`() throws {
        func call(_ count: Int) -> String {
            "math.greatest(\(Array(repeating: "1", count: count).joined(separator: ",")))"
        }
        #expect(try verdict(call(255)) == "int")
        #expect(
            try verdict(call(256)) == "5: 'math.greatest' takes at most 255 arguments, or one list of numbers"
        )
    }

    @Test func `only resolves names when it is told so, and refuses nothing`() throws {
        for row in CheckRow.all {
            let checked = try Checker.resolve(row.tree(), in: row.environment)
            #expect(checked.types.allSatisfy { $0 == .dyn }, "\(row.id)")
        }
    }

    @Test(arguments: [
        ("[]", "list(dyn)"), ("{}", "map(dyn, dyn)"), ("[1, 'a']", "list(dyn)"), ("[[], [1]]", "list(list(int))"),
        ("[null, timestamp(0)]", "list(timestamp)"), ("[name, 'a']", "list(wrapper(string))"),
        ("{'a': 1, 2: 'b'}", "map(dyn, dyn)"), ("{'a': [], 'b': [1u]}", "map(string, list(uint))"),
        ("[] + [1]", "list(int)"), ("[1] + []", "list(int)"), ("[1] + [dyn('a')]", "list(dyn)"),
        ("true ? [] : [1]", "list(int)"), ("true ? null : name", "wrapper(string)"), ("true ? 1 : dyn('a')", "dyn"),
        ("name + 'a'", "string"), ("name == null", "bool"), ("body.a[0].b + 1", "int"), ("body == 1", "bool"),
        ("body + body", "dyn"), ("body.size()", "int"), ("body['a']", "dyn"), ("headers['a']", "string"),
        ("headers.a", "string"), ("headers.?a", "optional_type(string)"), ("headers[?'a']", "optional_type(string)"),
        ("headers.?a.orValue('')", "string"), ("headers.?a.or(optional.of('b'))", "optional_type(string)"),
        ("request.?user", "optional_type(string)"), ("request.?user.orValue('x')", "string"),
        ("has(request.user)", "bool"), ("has(headers.a)", "bool"), ("has(body.a.b)", "bool"),
        ("{'a': {'b': 1}}.?a.b", "optional_type(int)"), ("{'a': {'b': 1}}.?a.?b", "optional_type(int)"),
        ("[?optional.of(1), 2]", "list(int)"), ("{?'a': optional.none()}", "map(string, dyn)"),
        ("[1, 2].map(x, string(x))", "list(string)"), ("[1].filter(x, x > 1)", "list(int)"),
        ("headers.filter(k, k == 'a')", "list(string)"), ("headers.map(k, k.size())", "list(int)"),
        ("headers.transformList(k, v, k + v)", "list(string)"),
        ("headers.transformMap(k, v, v.size())", "map(string, int)"),
        ("['a'].transformMap(i, v, v)", "map(int, string)"),
        ("headers.transformMapEntry(k, v, {v: 1})", "map(string, int)"), ("body.map(x, x)", "list(dyn)"),
        ("['b', 'a'].sortBy(x, x.size())", "list(string)"), ("[2, 1].sort()", "list(int)"),
        ("[[1], [2]].flatten()", "list(int)"), ("[1].first()", "optional_type(int)"),
        ("optional.of(1).optMap(x, string(x))", "optional_type(string)"),
        ("optional.of(1).optFlatMap(x, optional.of(x > 1))", "optional_type(bool)"),
        ("cel.bind(x, [1], x[0])", "int"), ("type(1)", "type(int)"), ("int", "type(int)"),
        ("type([1])", "type(list(int))"),
        ("google.protobuf.Timestamp", "type(timestamp)"), ("[int, string]", "list(type)"), ("net.IP", "type(net.IP)"),
        ("math.greatest(1, 2)", "int"), ("math.greatest(1, 2u)", "dyn"), ("math.least([1.0])", "double"),
        ("math.least(1u, 2u, 3u)", "uint"), ("1 < 1.5", "bool"), ("1u >= 1", "bool"),
        ("timestamp(0) - timestamp(1)", "duration"), ("timestamp(0) + duration('1s')", "timestamp"),
        ("cidr('10.0.0.0/8').ip()", "net.IP"), ("lists.range(3)", "list(int)"), ("'a,b'.split(',')", "list(string)"),
        ("google.protobuf.Int32Value{value: 1}", "wrapper(int)"),
    ])
    func `finds types`(source: String, type: String) throws {
        #expect(try verdict(source, .gateway) == type)
    }

    @Test(arguments: [
        ("request.modle == 'a'", "8: no field 'modle' in 'request'; did you mean 'request.model'?"),
        ("has(request.modle)", "12: no field 'modle' in 'request'; did you mean 'request.model'?"),
        ("request.?modle", "9: no field 'modle' in 'request'; did you mean 'request.model'?"),
        ("request.nothing", "8: no field 'nothing' in 'request'"),
        ("request.auth.subjct", "13: no field 'subjct' in 'request.auth'; did you mean 'request.auth.subject'?"),
        ("request == 1", "0: 'request' can only be used with a field, as in 'request.model'"),
        ("request.auth", "8: 'request.auth' can only be used with a field, as in 'request.auth.subject'"),
        ("reqest.model", "0: undeclared name 'reqest'; did you mean 'request'?"),
        ("x", "0: undeclared name 'x'"),
        ("size", "0: 'size' is a function; it can only be called"),
        ("siz('a')", "0: undeclared function 'siz'; did you mean 'size'?"),
        ("'a'.startWith('b')", "4: undeclared function 'startWith'; did you mean 'startsWith'?"),
        ("startsWith('a', 'b')", "0: 'startsWith' is called on a value, as in x.startsWith(...)"),
        ("'1'.int()", "4: 'int' is not called on a value, but as in int(x)"),
        ("math.abz(1)", "5: undeclared function 'math.abz'; did you mean 'math.abs'?"),
        (
            "1 + 'a'",
            "2: no overload of '_+_' takes (int, string); "
                + "there are (int, int), (uint, uint), (double, double), (string, string), (bytes, bytes), ..."
        ),
        ("'a'.startsWith(1)", "4: no overload of 'startsWith' takes string.(int); there is string.(string)"),
        ("1 == 1u", "2: no overload of '_==_' takes (int, uint); both must have one type, or one be in dyn(...)"),
        ("-1u", "0: no overload of '-_' takes (uint); there are (int), (double)"),
        ("'a' in 'b'", "4: no overload of '@in' takes (string, string); there are (T, list(T)), (K, map(K, V))"),
        ("1 ? 2 : 3", "0: the condition before '?' must be bool, not int"),
        (
            "true ? 1 : 'a'",
            "5: the results of '?:' must have one type, not int and string; dyn(...) around one lets them differ"
        ),
        ("1 && 'a'", "0: an operand of '&&' must be bool, not int\n5: an operand of '&&' must be bool, not string"),
        ("1.map(x, x)", "0: 'map' goes over a list or a map, not int"),
        ("{}.sortBy(x, x)", "0: 'sortBy' goes over a list, not map(dyn, dyn)"),
        ("[1].filter(x, x)", "14: the condition of 'filter' must be bool, not int"),
        ("[1].map(x, x, x)", "11: the filter of 'map' must be bool, not int"),
        ("{}.transformMapEntry(k, v, 1)", "27: the entry of 'transformMapEntry' must be map(dyn, dyn), not int"),
        ("[1].sortBy(x, [x])", "14: the key of 'sortBy' must have an order, which list(int) has not"),
        ("1.optMap(x, x)", "0: 'optMap' is called on an optional, not on int"),
        ("{1.0: 2}", "1: a map's key must be int, uint, bool or string, not double"),
        ("[?1]", "2: what follows '?' must be optional_type(dyn), not int"),
        ("'a'.b", "4: string has no fields; 'b' is selected from it"),
        ("{1: 2}.a", "7: no field 'a' in map(int, int): its keys are not strings"),
        (
            "math.greatest('a')",
            "5: no overload of 'math.greatest' takes (string); it takes numbers, or one list of numbers"
        ),
        ("a.B{}", "0: undeclared message type 'a.B'"),
        (
            "google.protobuf.Int32Value{valu: 1, value: 'a'}",
            "27: no field 'valu' in 'google.protobuf.Int32Value'; did you mean 'value'?\n"
                + "43: field 'value' of 'google.protobuf.Int32Value' must be int, not string"
        ),
    ])
    func `says where a mistake is, and what would be right`(source: String, problems: String) throws {
        #expect(try verdict(source, .gateway) == problems)
    }

    @Test(arguments: [
        "x + 1 == 2 && [x].exists(y, y.f > 1) ? x.size() : {x: x}[x]", "[f(x)].map(y, y + 1)", "math.greatest(x, 1)",
    ])
    func `says of one mistake nothing that only follows from it`(source: String) throws {
        let lines = try verdict(source).split(separator: "\n")
        #expect(lines.allSatisfy { $0.contains("undeclared") }, "\(lines)")
    }

    @Test func `reports ten problems and no more`() throws {
        let source = (0..<30).map { "x\($0)" }.joined(separator: " && ")
        #expect(try verdict(source).split(separator: "\n").count == 10)
    }

    @Test(arguments: 0..<40 as Range<UInt64>)
    func `points into the source, and never fails on rows put into each other`(seed: UInt64) throws {
        var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
        func pick(_ count: Int) -> Int {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Int(state % UInt64(count))
        }
        let rows = CheckRow.plain
        for _ in 0..<50 {
            let outer = rows[pick(rows.count)]
            let inner = "(\(rows[pick(rows.count)].expression))"
            let names = ["x", "y", "1", "2", "'", "a", "[1", "e", "."]
            let name = names[pick(names.count)]
            let source = outer.expression.replacingOccurrences(of: name, with: name == "'" ? inner : inner + name)
            guard let tree = try? Parser.parse(Array(source.utf8)) else { continue }
            let untyped = try Checker.resolve(tree, in: outer.environment)
            _ = CostEstimator.estimate(untyped)
            do {
                _ = CostEstimator.estimate(try Checker.check(tree, in: outer.environment))
            } catch {
                #expect(error.problems.allSatisfy { (0...source.utf8.count).contains($0.offset) }, "\(source)")
            }
        }
    }

    @Test func `knows the host's functions by both ways to call them`() throws {
        let environment = Environment(
            overloads: [
                Environment.Overload("ns.twice", isMember: false, [.parameter("T")], .list(.parameter("T"))),
                Environment.Overload("size", isMember: true, [.abstract("box", [])], .uint),
                Environment.Overload("ns.box", isMember: false, [], .abstract("box", [])),
            ],
            container: "ns.inner"
        )
        #expect(try verdict("twice('a')", environment) == "list(string)")
        #expect(try verdict("ns.box().size()", environment) == "uint")
        #expect(try verdict("'a'.size()", environment) == "int")
    }
}

@Suite struct `The check of a huge expression` {
    @Test func `ends although its types double with every line`() throws {
        var source = "a30"
        for level in (1...30).reversed() {
            let keyed = "cel.bind(m, {}, [m[a\(level - 1)]] == [] ? m.transformMap(k, v, k) : m.transformMap(k, v, k))"
            source = "cel.bind(a\(level), \(keyed), \(source))"
        }
        #expect(try verdict("cel.bind(a0, [1], \(source))").contains("too complicated"))
    }

    /// Sources as deep as the parser lets through.
    static let deep = [
        String(repeating: "[", count: 240) + "1" + String(repeating: "]", count: 240),
        String(repeating: "{'a':", count: 240) + "1" + String(repeating: "}", count: 240),
        "body" + String(repeating: ".a", count: 240), "body" + String(repeating: "[0]", count: 240),
        "1" + String(repeating: " + 1", count: 240),
        String(repeating: "dyn(", count: 240) + "1" + String(repeating: ")", count: 240),
        String(repeating: "true ? 1 : ", count: 240) + "1", "''" + String(repeating: ".trim()", count: 240),
        String(repeating: "cel.bind(x, 1, ", count: 120) + "1" + String(repeating: ")", count: 120),
        String(repeating: "[1].map(x, ", count: 120) + "1" + String(repeating: ")", count: 120),
    ]

    @Test(arguments: deep)
    func `needs little of the stack`(source: String) async throws {
        let tree = try Parser.parse(Array(source.utf8))
        #if DEBUG
        let stackBytes = 8 << 20
        #else
        let stackBytes = 512 << 10
        #endif
        let most: UInt64? = await withCheckedContinuation { done in
            let thread = Thread {
                let checked = try? Checker.check(tree, in: .gateway)
                done.resume(returning: checked.map { CostEstimator.estimate($0).max })
            }
            thread.stackSize = stackBytes
            thread.start()
        }
        #expect(most != nil)
    }
}
