// The body as it goes upstream. At most two places change, by offset; nothing is encoded anew, because number spellings,
// member order and unknown members must reach the provider as the client wrote them.

extension ParsedRequest {
    /// The body to send, when it differs from the one received.
    ///
    /// One allocation.
    ///
    /// - Parameters:
    ///   - body: the body that was scanned.
    ///   - model: the upstream's name of the model; nil to keep the client's.
    ///   - injectUsage: set `stream_options.include_usage` to true on a chat or completions stream, keeping the other
    ///     options; ignored elsewhere.
    /// - Returns: the new body, or nil when the one received can go as it is.
    public func forwardedBody(_ body: [UInt8], model: [UInt8]?, injectUsage: Bool) -> [UInt8]? {
        precondition(body.count == byteCount, "not the body that was scanned")
        let edit = injectUsage && canInjectUsage ? usageEdit : .none
        let replacement = changedModel(body, to: model)
        guard edit != .none || replacement != nil else { return nil }

        var output: [UInt8] = []
        output.reserveCapacity(body.count + (replacement?.count ?? 0) + 64)
        var copied = 0
        let slice = self.model ?? JSONSlice(start: 0, count: 0, hasEscapes: false)
        let modelComesFirst = slice.start < usageEditStart
        if modelComesFirst, let replacement { copied = put(replacement, for: slice, of: body, after: copied, &output) }
        if edit != .none { copied = apply(edit, to: body, after: copied, &output) }
        if !modelComesFirst, let replacement { copied = put(replacement, for: slice, of: body, after: copied, &output) }
        append(body.span, from: copied, to: body.count, into: &output)
        return output
    }

    /// The new name, if it is one.
    private func changedModel(_ body: [UInt8], to model: [UInt8]?) -> [UInt8]? {
        guard let model, let slice = self.model else { return nil }
        let isSame =
            !slice.hasEscapes && Int(slice.count) == model.count
            && body[Int(slice.start)..<Int(slice.start + slice.count)].elementsEqual(model)
        return isSame ? nil : model
    }

    private func put(
        _ model: [UInt8],
        for slice: JSONSlice,
        of body: [UInt8],
        after copied: Int,
        _ output: inout [UInt8]
    ) -> Int {
        append(body.span, from: copied, to: Int(slice.start), into: &output)
        appendEscaped(model, to: &output)
        return Int(slice.start + slice.count)
    }

    private func apply(_ edit: UsageEdit, to body: [UInt8], after copied: Int, _ output: inout [UInt8]) -> Int {
        append(body.span, from: copied, to: Int(usageEditStart), into: &output)
        switch edit {
        case .none: break
        case .member: append("\"stream_options\":{\"include_usage\":true},", to: &output)
        case .object: append("{\"include_usage\":true}", to: &output)
        case .firstOption: append("\"include_usage\":true,", to: &output)
        case .onlyOption: append("\"include_usage\":true", to: &output)
        case .value: append("true", to: &output)
        }
        return Int(usageEditEnd)
    }
}
