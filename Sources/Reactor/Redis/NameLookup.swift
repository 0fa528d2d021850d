// getaddrinfo blocks for as long as a name server likes, so it runs on a thread of its own and the loop goes on.

private import Glibc
private import Synchronization

/// Finds a host's addresses without stopping the Reactor.
@safe enum NameLookup {
    /// Whether the text is an address already and needs no lookup.
    static func isAddress(_ host: String) -> Bool {
        var address = in6_addr()
        return unsafe inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1
    }

    /// Calls `completion` on a thread of its own with the host's addresses as text, in the resolver's order.
    ///
    /// None means that the name has no address or that no thread could be made.
    static func addresses(of host: String, _ completion: @escaping @Sendable ([String]) -> Void) {
        let task = Task(host: host, completion: completion)
        var thread = pthread_t()
        let code = unsafe pthread_create(
            &thread,
            nil,
            { context in
                guard let context = unsafe context else { return nil }
                let task = unsafe Unmanaged<Task>.fromOpaque(context).takeRetainedValue()
                task.completion(NameLookup.lookUp(task.host))
                return nil
            },
            Unmanaged.passRetained(task).toOpaque()
        )
        guard code == 0 else {
            unsafe Unmanaged.passUnretained(task).release()
            return completion([])
        }
        pthread_detach(thread)
    }

    private final class Task: Sendable {
        let host: String
        let completion: @Sendable ([String]) -> Void

        init(host: String, completion: @escaping @Sendable ([String]) -> Void) {
            self.host = host
            self.completion = completion
        }
    }

    private static func lookUp(_ host: String) -> [String] {
        var first: UnsafeMutablePointer<addrinfo>?
        guard unsafe getaddrinfo(host, nil, nil, &first) == 0 else { return [] }
        defer { unsafe freeaddrinfo(first) }
        var addresses: [String] = []
        var next = unsafe first
        while let entry = unsafe next {
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let size = socklen_t(text.count)
            let (address, length) = unsafe (entry.pointee.ai_addr, entry.pointee.ai_addrlen)
            if unsafe getnameinfo(address, length, &text, size, nil, 0, NI_NUMERICHOST) == 0 {
                let address = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
                if !addresses.contains(address) { addresses.append(address) }  // each comes once per socket type
            }
            unsafe next = entry.pointee.ai_next
        }
        return addresses
    }
}
