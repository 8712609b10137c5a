"""Which pump has which view: in a cluster, that of the shard that has the breaker.

A message that one primary of a cluster publishes reaches all nodes, but in no order with the replies
of another one. So each breaker's changes are heard where they are published.
"""

import threading
import time
from collections.abc import Callable

from breaker import forking
from breaker.protocol.keys import Keys
from breaker.push.feed import Plan, Read
from breaker.push.pump import Pump, pump_for, pumps_for
from breaker.push.view import View
from breaker.store.target import Target
from breaker.store.topology import Topology, is_same_slot, topology_of

# Seconds until the state of a breaker whose keys are on their way is read again.
AGAIN = 1.0

# Held while a view comes, goes or moves.
_lock = threading.RLock()


def follow(
    target: Target,
    channel: str,
    keys: Keys,
    read: Read,
    probe: Callable[[], Plan],
    *,
    call: Callable[[Pump], None],
) -> View:
    """Have a view fed; `call` is called with the pump that does it, now and if it is another one."""
    topology = topology_of(target)
    with _lock:
        pump = pump_for(topology.shard_of(channel))
        if target.is_cluster:
            if regroup not in topology.on_change:
                topology.on_change.append(regroup)
                topology.on_move.append(doubt)
            known = pumps_for(topology.target)
            pump = next((one for one in known if one.has(channel)), pump)
        return pump.add(channel, keys, read, probe, call)


def leave(pump: Pump, channel: str, call: Callable[[Pump], None]) -> None:
    """End what `follow` began; with the last view the pump's thread ends."""
    with _lock:
        thread = pump.remove(channel, call)
    if thread and thread is not threading.current_thread():
        thread.join(timeout=2.0)


def regroup(topology: Topology) -> None:
    """Give each view to the pump of the shard that has its breaker by now."""
    with _lock:
        for pump in pumps_for(topology.target):
            for feed in pump.feeds():
                shard = topology.shard_of(feed.channel)
                if shard is not pump.shard:
                    pump.hand_over(feed, pump_for(shard))


def doubt(topology: Topology, key: str) -> None:
    """Ask the store each time for a breaker whose keys are on their way, until all have arrived."""
    for pump in pumps_for(topology.target):
        for feed in pump.feeds():
            if is_same_slot(feed.channel, key):
                feed.view.distrust()
                feed.view.due = time.monotonic() + AGAIN


@forking.in_child
def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - another thread may have held it at the fork
    _lock = threading.RLock()
