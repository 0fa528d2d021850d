// The deepest expressions that are accepted go all the way on a small stack: checked, estimated, compiled, read again,
// evaluated, and all that came of it dropped. Values and types can get deeper than the expression: they are bounded too.

import Testing

@testable import CEL

private func times(_ count: Int, _ text: String) -> String { String(repeating: text, count: count) }

@Suite struct `The deepest expressions` {
    private static let environment = Environment(variables: [
        .init("a", .dyn), .init("b", .bool), .init("i", .int), .init("m", .map(.string, .dyn)),
    ])

    /// `cel.bind(v0, [[…i…]], cel.bind(v1, [[…v0…]], …))`: a value thousands of levels deep out of 240 levels of text.
    private static func binds(_ open: String, _ close: String, step: Int, end: String = "") -> String {
        var text = ""
        var name = "i"
        var count = 0
        while (240 - count) / step >= 2 {
            let levels = (240 - count) / step
            // Less than 64 KiB, and less than 20,000 parts.
            guard text.utf8.count + levels * (open.utf8.count + 1) < 60_000, count * levels < 8_000 else { break }
            text += "cel.bind(v\(count),\(times(levels, open))\(name)\(times(levels, close)),"
            name = "v\(count)"
            count += 1
        }
        return text + name + end.replacing("it", with: name) + times(count, ")")
    }

    private static let sources: [String] = {
        let levels = 248
        let deep = [
            times(levels, "[") + "i" + times(levels, "]"), times(levels, "{'a':") + "i" + times(levels, "}"),
            times(levels, "i+(") + "i" + times(levels, ")"), times(levels, "b?i:") + "i",
            times(levels, "cel.bind(v,") + "i" + times(levels, ",v)"),
            (0..<levels).map { "cel.bind(v\($0),\($0 == 0 ? "i" : "v\($0 - 1)+1")," }.joined() + "v\(levels - 1)"
                + times(levels, ")"),
            times(levels, "[i].map(x,") + "x" + times(levels, ")"), "[i]" + times(levels, ".map(x,[x])"),
            times(levels, "[i].exists_one(x,") + "x==1" + times(levels, ")"),
            times(levels, "optional.of(i).optMap(x,") + "x" + times(levels, ")"),
            times(levels, "m.transformMap(k,v,") + "v" + times(levels, ")"),
            times(levels / 2, "m.transformMapEntry(k,v,{k:") + "v" + times(levels / 2, "})"),
            times(levels / 2, "google.protobuf.ListValue{values:[") + "1" + times(levels / 2, "]}"),
            times(levels, "optional.none().or(") + "optional.of(i)" + times(levels, ")"),
            "a" + times(levels, ".?a"),
        ]
        let nested = [
            ("[", "]", 1), ("{'a':", "}", 1), ("dyn([", "])", 2), ("optional.of(", ")", 1),
            ("optional.of(dyn(", "))", 2),
        ]
        let slots = (0..<1_500).map { ",optional.of(cel.index(\($0)))" }.joined()
        return deep + nested.map { binds($0, $1, step: $2) } + nested.map { binds($0, $1, step: $2, end: "==it") }
            + ["cel.block([i\(slots)],cel.index(1500))"]
    }()

    @Test(arguments: sources.indices, [true, false])
    func `go all the way on a small stack`(index: Int, isChecked: Bool) {
        let source = Self.sources[index]
        let problems = onSmallStack {
            var options = CompiledExpression.Options()
            options.allowsBlocks = true
            options.checksTypes = isChecked
            do {
                let expression = try CompiledExpression(Array(source.utf8), in: Self.environment, options: options)
                let bytes = expression.program.encoded(for: Self.environment)
                let program = try Program.decode(bytes, for: Self.environment)
                var meter = Meter(limit: 1_000_000)
                _ = try program.evaluate(Bindings([.map(.empty), .bool(false), .int(1), .map(.empty)]), &meter)
            } catch let problems as Problems {
                return problems.problems.map(\.message)
            } catch let error as EvaluationError {
                return error.reason == .workLimitExceeded || error.reason == .noSuchKey ? [] : ["\(error)"]
            } catch {
                return ["\(error)"]
            }
            return []
        }
        // What is refused is so for being too large; what the stack holds decides nothing.
        let refusals = ["the types of this expression are too complicated", "the expression is too large"]
        #expect(problems.allSatisfy(refusals.contains))
    }

    @Test func `make values of five hundred levels, and no deeper ones`() throws {
        func outcome(_ levels: Int) throws -> EvaluationError.Reason? {
            // Each bind adds twenty levels.
            var text = "size(v\(levels / 20))"
            for index in (1...levels / 20).reversed() {
                text = "cel.bind(v\(index),\(times(20, "dyn(["))v\(index - 1)\(times(20, "])")),\(text))"
            }
            let source = Array("cel.bind(v0,i,\(text))".utf8)
            let program = try CompiledExpression(source, in: Self.environment).program
            var meter = Meter(limit: 1_000_000)
            do throws(EvaluationError) {
                _ = try program.evaluate(Bindings([.null, .bool(false), .int(1), .null]), &meter)
                return nil
            } catch {
                return error.reason
            }
        }
        #expect(try outcome(500) == nil)
        #expect(try outcome(540) == .workLimitExceeded)
    }

    @Test func `leave lists of lists as long as they like`() throws {
        let source = Array("[[i]].map(x, x)[0] == [i] && lists.range(3000).map(x, [[x], [x]]).size() == 3000".utf8)
        let program = try CompiledExpression(source, in: Self.environment).program
        var meter = Meter(limit: 1_000_000)
        guard case .bool(true) = try program.evaluate(Bindings([.null, .null, .int(1), .null]), &meter) else {
            Issue.record("a value is deep, not long, that is refused")
            return
        }
    }
}
