// What each failure says about the server: one table, so that an error is added with its consequence or not at all.

import Testing

@testable import Reactor

@Suite struct `A failure of Redis` {
    private static let table: [(failure: RedisFailure, fault: RedisFault, blame: RedisFault.Blame)] =
        [
            (.notConnected, .notConnected, .nobody), (.tooManyCommands, .overload, .nobody),
            (.deadline, .deadline, .server), (.connectionLost, .connectionLost, .server),
            (.protocolError, .protocolError, .server),
        ] + replies.map { (RedisFailure(errorReply: $0.text), $0.fault, $0.blame) }

    /// As Redis 7.0.15 words them, those of scripts with what a script adds.
    private static let replies: [(text: String, fault: RedisFault, blame: RedisFault.Blame)] = [
        ("MOVED 3999 127.0.0.1:6381", .moved, .server), ("ASK 3999 127.0.0.1:6381", .moved, .server),
        ("READONLY You can't write against a read only replica. script: 1a2b, on @user_script:20.", .readOnly, .server),
        (
            "OOM command not allowed when used memory > 'maxmemory'. script: 1a2b, on @user_script:20.", .outOfMemory,
            .server
        ),
        ("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", .busy, .server),
        ("LOADING Redis is loading the dataset in memory", .loading, .server),
        ("NOAUTH Authentication required.", .notAuthorized, .server),
        ("WRONGPASS invalid username-password pair or user is disabled.", .notAuthorized, .server),
        ("NOPERM this user has no permissions to run the 'evalsha' command", .notAuthorized, .server),
        (
            "MISCONF Redis is configured to save RDB snapshots, but it's unable to persist to disk.", .misconfigured,
            .server
        ),
        ("NOREPLICAS Not enough good replicas to write.", .noReplicas, .server),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", .down, .server),
        ("CLUSTERDOWN Hash slot not served", .down, .server), ("TRYAGAIN Multiple keys request", .tryAgain, .server),
        ("NOSCRIPT No matching script. Please use EVAL.", .noScript, .server),
        ("ERR unknown command 'EVALSHA'", .other, .server), ("", .other, .server),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", .wrongType, .key),
        ("ERR value is not an integer or out of range script: 1a2b, on @user_script:20.", .notInteger, .key),
        ("ERR increment or decrement would overflow", .notInteger, .key),
    ]

    @Test(arguments: table)
    func `has a class, and one to blame`(failure: RedisFailure, fault: RedisFault, blame: RedisFault.Blame) {
        #expect(failure.fault == fault)
        #expect(fault.blame == blame)
    }

    @Test func `has a row above for every class`() {
        #expect(Set(Self.table.map(\.fault)) == Set(RedisFault.allCases))
    }
}
