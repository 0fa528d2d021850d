// Which Weir this is, for people who compare what runs with what should.

/// The version of this build.
public enum BuildVersion {
    /// There is no release yet; the changelog's "Unreleased".
    public static let current = "0.1.0-dev"
}
