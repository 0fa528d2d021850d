// How libcurl's and hiredis's wrappers take part in a Reactor's turns without being kept alive by it.

/// Something on a Reactor that gathers work during a turn and does it at its end.
protocol ReactorResident: AnyObject {
    /// The turn ends: hand over what it gathered. Runs before what others flush, so callbacks may gather more.
    func driveTurn()
    /// There is no further turn: answer for everything now.
    func reactorEnded()
}
