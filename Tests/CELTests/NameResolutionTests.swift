// What names mean: variables with dots, containers, locals, types and functions.

import Testing

@testable import CEL

@Suite struct `A name` {
    /// What the nodes of an expression mean, operands first; `v` with a variable's name, `local`, `type`, `fn`, `?`.
    private func meanings(_ source: String, _ environment: Environment, isTyped: Bool = true) throws -> String {
        let tree = try Parser.parse(Array(source.utf8))
        let checked = try isTyped ? Checker.check(tree, in: environment) : Checker.resolve(tree, in: environment)
        return checked.resolutions.compactMap { resolution in
            switch resolution {
            case .none: nil
            case .variable(let number): "v \(environment.variables[number].name)"
            case .local(_, let index): "local \(index)"
            case .type(let name): "type \(name)"
            case .function(let name, let hasReceiver): "fn \(hasReceiver ? "x." : "")\(name)"
            case .unknown: "?"
            }
        }.joined(separator: ", ")
    }

    private func environment(_ names: [String], container: String = "") -> Environment {
        Environment(variables: names.map { Environment.Variable($0, .dyn) }, container: container)
    }

    @Test(arguments: [
        ("a.b.c", ["a.b.c", "a.b", "a"], "v a.b.c"), ("a.b.c", ["a.b", "a"], "v a.b"), ("a.b.c", ["a"], "v a"),
        ("has(a.b)", ["a.b"], "v a.b"), ("a.?b", ["a.b"], "v a.b"), ("has(a.b)", ["a"], "v a"),
        ("a.?b.orValue(1)", ["a.b"], "v a.b, fn x.orValue"), ("a.b.c.d", ["a.b"], "v a.b"),
        ("size(size)", ["size"], "v size, fn size"), ("int", [], "type int"), ("net.IP", [], "type net.IP"),
        ("google.protobuf.Duration", [], "type google.protobuf.Duration"), ("net.IP", ["net"], "type net.IP"),
        ("math.abs(a)", ["a"], "v a, fn math.abs"), ("math.abs(math)", ["math"], "v math, fn math.abs"),
        ("ip.isCanonical('')", [], "fn ip.isCanonical"), ("a.b.size()", ["a.b"], "v a.b, fn x.size"),
        ("[0].exists(y, y == 0)", ["y"], "local 0, fn _==_"), ("[0].exists(y, .y == 0)", ["y"], "v y, fn _==_"),
        ("[a].map(x, x.y)", ["a", "x.y"], "v a, local 0"), ("[a].map(x, .x.y)", ["a", "x.y"], "v a, v x.y"),
        ("[a].map(math, math.abs)", ["a"], "v a, local 0"), ("cel.bind(a, 1, a)", ["a"], "local 0"),
        ("[a].map(a, a)", ["a"], "v a, local 0"), ("[1].all(i, v, v > i)", [], "local 1, local 0, fn _>_"),
    ])
    func `means the longest variable, and a local before all others`(
        source: String,
        variables: [String],
        expected: String
    ) throws {
        #expect(try meanings(source, environment(variables)) == expected)
        #expect(try meanings(source, environment(variables), isTyped: false) == expected)
    }

    @Test(arguments: [
        ("y", ["a.b.y", "a.y", "y"], "v a.b.y"), ("y", ["a.y", "y"], "v a.y"), ("y", ["y"], "v y"),
        (".y", ["a.b.y", "y"], "v y"), ("b.y", ["a.b.y"], "v a.b.y"), ("y.z", ["a.y", "y.z"], "v y.z"),
        ("[1].map(y, y)", ["a.b.y"], "local 0"), ("[1].map(y, .y)", ["a.b.y", "y"], "v y"),
        ("int", ["a.int"], "v a.int"),
    ])
    func `is looked up in the container first`(source: String, variables: [String], expected: String) throws {
        #expect(try meanings(source, environment(variables, container: "a.b")) == expected)
    }

    @Test(arguments: [
        ("x", "?"), ("x.y", "?"), ("f(1)", "?"), ("'a'.f()", "?"), ("'a'.size(1)", "?"), ("x.size()", "?, fn x.size"),
        ("dyn", "?"), ("1.orValue(2)", "fn x.orValue"),
    ])
    func `may mean nothing without the check`(source: String, expected: String) throws {
        #expect(try meanings(source, Environment(), isTyped: false) == expected)
    }
}
