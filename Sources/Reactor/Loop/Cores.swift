// How many loops a process should have.

private import CLinux

/// The machine's cores as this process may use them.
public enum Cores {
    /// The cores that the process may run on, which `taskset` and containers make fewer than the machine's; at least 1.
    public static var usable: Int { Int(weir_usable_cores()) }
}
