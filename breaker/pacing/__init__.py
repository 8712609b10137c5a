"""How fast a recovering breaker lets jobs go: one schedule for the whole fleet.

The readable statement of `lua/include/pace.lua`, `start.lua`, `slots.lua` and `cut.lua`, file by file, used by
`breaker.machine`. Times are milliseconds on the clock that is given, rates are calls per second.

The rate follows a curve with the shape of CUBIC (RFC 9438): after a cut it rises fast, lingers
where the last error came, then grows further; as RFC 7661 has it, its clock stands still while
slots go unused. Two things are not from there. A cut uses the rate that was delivered since the
last one, so that the burst an upstream allows after a rest does not mislead it. And an error
before any success says that nothing gets through at all: then the rate is kept, and the silence
doubles.
"""

from breaker.pacing.cut import Pace
from breaker.pacing.pace import as_text
from breaker.pacing.slots import HORIZON, LONGEST_WAIT, TOLERANCE

__all__ = ["HORIZON", "LONGEST_WAIT", "TOLERANCE", "Pace", "as_text"]
