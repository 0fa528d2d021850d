// What can fail when a Reactor is made; after that its own calls fail only by our mistake.

/// A system call that the machine refused.
public struct ReactorError: Error, Equatable, Sendable {
    /// The call, such as `epoll_create1`.
    public let call: String
    /// Its `errno`.
    public let code: Int32
}
