"""The rules that `lua/` decides by, readable: one breaker in memory, on a clock that is given.

At run time the Lua is the authority. This is its oracle (a property test holds the two equal,
reply for reply), the local breaker of a worker whose store is down, and the store of simulations.
File by file it reads beside `lua/include`: `row`, `view`, `commit`, `transition`, `settle`,
`settings`, `order`, `trip`, `run`, `recovery`; `verbs` are the scripts. All times are whole milliseconds.
"""

from breaker.machine.row import FOREVER, NOT_PAUSED, Call, Reply
from breaker.machine.verbs import Machine

__all__ = ["FOREVER", "NOT_PAUSED", "Call", "Machine", "Reply"]
