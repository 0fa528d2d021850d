// Loads what prompts will be counted with before a request has to wait for it.

import Logging
import Snapshot
import Tokens

/// The vocabularies of a node's models.
enum Vocabularies {
    /// Loads the encodings that a snapshot's models need and that are not loaded yet: some 15 ms each, once.
    ///
    /// Runs where snapshots are taken, beside the requests. Without a vocabulary prompts are judged by their size.
    static func load(for snapshot: EnforcedSnapshot, _ logger: Logger) {
        let needed = Set(snapshot.models.flatMap(\.routes).map(\.tokens.encoding))
        for encoding in needed {
            do throws(VocabularyError) {
                _ = try Tokenizer.shared(encoding)
            } catch {
                logger.error(
                    "vocabulary missing, prompts are judged by their size",
                    metadata: ["encoding": "\(encoding.name)", "reason": "\(error)"]
                )
            }
        }
    }
}
