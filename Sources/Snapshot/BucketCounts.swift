// How many chunks the records are spread over. A change rewrites one bucket's chunk and the manifest, so the best
// number balances the two: it grows with the square root of the records.

/// Over how many buckets policies and apps are spread: powers of two, 1...`SnapshotBounds.maxBuckets`.
public struct BucketCounts: Sendable, Equatable {
    /// Buckets of policies.
    public let policies: Int
    /// Buckets of apps.
    public let apps: Int

    /// Makes counts; nil unless both are powers of two within the bound.
    public init?(policies: Int, apps: Int) {
        for count in [policies, apps] {
            guard count >= 1, count <= SnapshotBounds.maxBuckets, count & (count - 1) == 0 else { return nil }
        }
        self.init(checkedPolicies: policies, apps: apps)
    }

    private init(checkedPolicies policies: Int, apps: Int) {
        self.policies = policies
        self.apps = apps
    }

    /// What suits the content: with 10,000 apps 256 buckets of some 40 apps, about 20 kB beside a manifest of 10 kB.
    public static func fitting(_ content: SnapshotContent) -> BucketCounts {
        BucketCounts(
            checkedPolicies: fitting(content.policies.count),
            apps: fitting(content.apps.count)
        )
    }

    /// What suits the content, kept as it was while that is near enough.
    ///
    /// A change of the count rewrites all chunks, so an app that comes and goes at a threshold must not cause one.
    public func adjusted(to content: SnapshotContent) -> BucketCounts {
        BucketCounts(
            checkedPolicies: Self.adjusted(policies, to: Self.fitting(content.policies.count)),
            apps: Self.adjusted(apps, to: Self.fitting(content.apps.count))
        )
    }

    /// The bucket of an id: FNV-1a over its UTF-8 bytes, its low bits.
    static func bucket(of id: String, count: Int) -> Int {
        Int(truncatingIfNeeded: FNV1a.hash(id) & UInt64(count - 1))
    }

    /// The least power of two whose square is four times the records or more.
    private static func fitting(_ records: Int) -> Int {
        var count = 1
        while count < SnapshotBounds.maxBuckets, count * count < 4 * records {
            count *= 2
        }
        return count
    }

    private static func adjusted(_ count: Int, to fitting: Int) -> Int {
        fitting > count || fitting * 4 <= count ? fitting : count
    }
}
