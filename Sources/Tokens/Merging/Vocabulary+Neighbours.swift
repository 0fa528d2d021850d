// Whether two tokens can stand side by side in an encoding: what makes it possible to encode a long text in parts.

extension Vocabulary {
    /// Whether the text of two tokens is encoded as just these two.
    ///
    /// The merges that made both are undone from the last on. Ranks only grow while merging, so the pair at the border
    /// was there until the younger of its two tokens was merged further; had it a lower rank than that merge, it would
    /// have been merged instead. Of equal ranks the left one goes first.
    ///
    /// Costs a lookup for each byte of the two tokens at most.
    func mayFollow(_ first: UInt32, _ second: UInt32) -> Bool {
        var left = first
        var right = second
        var limit = Self.none  // a border merge of a lower rank would have come first
        while true {
            if merged(left, right) < limit { return false }
            guard max(left, right) > 255 else { return true }  // two bytes: nothing is left to undo
            if left > right {
                limit = left
                left = UInt32(truncatingIfNeeded: splits[Int(left)])
            } else {
                limit = right + 1
                right = UInt32(truncatingIfNeeded: splits[Int(right)] >> 32)
            }
        }
    }
}
