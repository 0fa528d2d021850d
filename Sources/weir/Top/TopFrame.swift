// The screen of `weir top`, as text for a size: nothing here knows of terminals, so that tests can look at it.

/// Draws a view.
struct TopFrame {
    let columns: Int
    let lines: Int
    let hasColours: Bool

    /// All but the node's id, which has what is left of a line: 10 of 80 columns.
    private static let header = " VERSION  AGE STATE     REQ/S REF/S ERR/S   P50   P99 TOK/S  ACT QUEUE"

    /// The width of the node's id.
    private var idWidth: Int { min(max(columns - Self.header.count, 8), 40) }

    /// At most `lines` lines of at most `columns` characters each; the first ones matter most.
    func draw(_ view: TopView, clock: String) -> [String] {
        let reading = view.reading
        let live = reading.nodes.count(where: \.isLive)
        var screen = [
            "weir top  version \(reading.version.map(String.init) ?? "?")  lineage \(shown(reading.lineage).prefix(8))  "
                + "nodes \(live) live of \(reading.nodes.count)  \(clock)"
        ]
        if let trouble = reading.trouble { screen.append(colour("control plane: \(shown(trouble))", .red)) }
        screen.append(colour(pad("NODE", idWidth) + Self.header, .bold))
        for row in view.rows { screen.append(line(row)) }
        if view.rows.isEmpty { screen.append("no node has reported") }
        let broken = view.rows.flatMap { row in row.breakers.map { shown("\(row.id): \($0)") } }
        if !broken.isEmpty {
            screen.append("")
            screen.append(colour("WITHOUT", .bold))
            screen += broken.map { colour($0, .red) }
        }
        screen.append("")
        screen.append(colour("REFUSALS/S", .bold))
        screen += view.reasons.isEmpty ? ["none"] : view.reasons.map { pad(shown($0.reason), 28) + number($0.rate, 8) }
        return screen.prefix(lines).map(fit)
    }

    private func line(_ row: TopRow) -> String {
        let state: Colour = row.state == "ok" ? .green : .red
        return pad(shown(row.id), idWidth) + " " + padLeft("\(row.version)", 7) + padLeft(seconds(row.age), 5) + " "
            + colour(pad(row.state, 9), state) + number(row.requests, 6) + number(row.refusals, 6)
            + colour(number(row.errors, 6), row.errors > 0 ? .red : .none) + milliseconds(row.overheadP50)
            + milliseconds(row.overheadP99) + number(row.tokens, 6) + number(row.active, 5) + number(row.queued, 6)
    }

    // MARK: Text

    private enum Colour: String {
        case none = ""
        case bold = "1"
        case red = "31"
        case green = "32"
    }

    private func colour(_ text: String, _ colour: Colour) -> String {
        hasColours && colour != .none ? "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m" : text
    }

    /// What comes from elsewhere, without anything that a terminal would obey.
    private func shown(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.filter { $0.properties.generalCategory != .control }))
    }

    /// Cuts to the screen's width, not counting what only colours.
    private func fit(_ text: String) -> String {
        var fitted = ""
        var width = 0
        var isSequence = false
        for character in text {
            if character == "\u{1B}" { isSequence = true }
            guard isSequence || width < columns else { continue }
            fitted.append(character)
            if isSequence {
                if character == "m" { isSequence = false }
            } else {
                width += 1
            }
        }
        return fitted
    }

    private func pad(_ text: String, _ width: Int) -> String {
        text.count >= width ? String(text.prefix(width)) : text + String(repeating: " ", count: width - text.count)
    }

    private func padLeft(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(width - text.count, 0)) + text
    }

    /// With a decimal below ten unless it is whole, in thousands and millions from ten thousand on.
    private func number(_ value: Double, _ width: Int) -> String {
        let text: String
        switch value {
        case ..<0.05: text = "0"
        case ..<10 where value.rounded() != value: text = "\((value * 10).rounded() / 10)"
        case ..<10_000: text = "\(Int(value.rounded()))"
        case ..<10_000_000: text = "\(Int(value / 1_000))k"
        case ..<1e15: text = "\(Int(value / 1_000_000))M"
        default: text = "much"
        }
        return padLeft(text, width)
    }

    private func milliseconds(_ value: Double?) -> String {
        guard let value else { return padLeft("-", 6) }
        guard value < 1e5 else { return padLeft("long", 6) }
        return padLeft(value < 10 ? "\((value * 100).rounded() / 100)" : "\(Int(value.rounded()))", 6)
    }

    private func seconds(_ value: Double) -> String {
        switch value {
        case ..<120: "\(Int(max(value, 0)))s"
        case ..<7_200: "\(Int(value / 60))m"
        case ..<3.6e6: "\(Int(value / 3_600))h"
        default: "long"
        }
    }
}
