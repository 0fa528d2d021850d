// Dates as servers write them, beside what `date` makes of them.

import Testing

@testable import Codec

@Suite struct `A date of HTTP` {
    @Test(
        arguments: [
            // `date -u -d … +%s`
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600), ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800),
            ("Mon, 01 Mar 2100 00:00:00 GMT", 4_107_542_400), ("Thu, 31 Dec 2026 23:59:60 GMT", 1_798_761_600),
        ] as [(String, Int)]
    )
    func `names its moment`(text: String, seconds: Int) {
        #expect(HTTPDate.seconds(Array(text.utf8)) == seconds)
    }
}
