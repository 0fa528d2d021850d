// What a node learns of models whose tokenizers are not published.

import Telemetry
import Testing
import Tokens

@testable import Gateway

@Suite struct `A model's calibration` {
    private static let claude = ModelTable.profile(Array("claude-3-5-sonnet-20241022".utf8).span)
    private static let openAI = ModelTable.profile(Array("gpt-4o".utf8).span)

    @Test(arguments: [1_100, 1_400, 2_500])
    func `comes to what the provider bills, and its error goes`(permille: Int) {
        let calibration = TokenCalibration(Self.claude)
        for number in 0..<2_000 {
            let raw = 500 + number % 700
            let factor = calibration.factor
            calibration.learn(counted: raw * factor / 1_000, by: factor, billed: raw * permille / 1_000)
        }
        #expect(abs(calibration.factor - permille) <= 5, "\(calibration.factor)")
        #expect(calibration.error <= 20, "\(calibration.error)")
        #expect(calibration.profile(Self.claude).factorPermille == calibration.factor)
    }

    @Test func `stays inside its bounds whatever is billed`() {
        let calibration = TokenCalibration(Self.claude)
        for billed in [64, 1_000_000, 1 << 39, 65, 0, -5, .max] {
            for _ in 0..<1_000 { calibration.learn(counted: 1_000, by: calibration.factor, billed: billed) }
            #expect((500...3_000).contains(calibration.factor))
        }
    }

    @Test func `of a published tokenizer keeps its factor and tells its error`() {
        let calibration = TokenCalibration(Self.openAI)
        for _ in 0..<1_000 { calibration.learn(counted: 1_000, by: 1_000, billed: 1_250) }
        #expect(calibration.factor == 1_000)
        #expect((190...200).contains(calibration.error), "\(calibration.error)")
        #expect(calibration.profile(Self.openAI) == Self.openAI)
    }

    @Test func `is kept by the model's name and shown by it`() {
        let metrics = MetricRegistry()
        let calibrations = TokenCalibrations(metrics)
        let first = calibrations.calibration(of: "claude-x", Self.claude)
        #expect(calibrations.calibration(of: "claude-x", Self.claude) === first)
        let text = String(decoding: metrics.render(), as: UTF8.self)
        #expect(text.contains("weir_token_factor_permille{model=\"claude-x\"} \(first.factor)\n"))
        #expect(text.contains("weir_token_error_permille{model=\"claude-x\"} 0\n"))
    }
}
