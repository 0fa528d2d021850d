// A rule's constant pattern. RE2 takes some microseconds to compile one, which is more than all the rest of loading a
// program, so it waits for the first request that asks; every later one uses the same.

import Synchronization

/// A pattern that is compiled when it is first used.
final class LazyRegex: Sendable {
    let text: ByteString
    private let compiled = AtomicLazyReference<Regex>()

    init(_ text: ByteString) { self.text = text }

    /// The compiled pattern; two threads that are first at once may both compile, and use the one that was stored.
    ///
    /// - Throws: `.badPattern`, each time.
    func regex() throws(EvaluationError) -> Regex {
        if let known = compiled.load() { return known }
        return compiled.storeIfNil(try Regex(text))
    }
}
