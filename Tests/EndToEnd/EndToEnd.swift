// The whole system, end to end: an admin's change reaches two nodes, an application's request is checked, forwarded,
// streamed back and accounted. All suites within share one system; those that break things start their own.

import Testing

@Suite(.wholeSystem) enum EndToEnd {}
