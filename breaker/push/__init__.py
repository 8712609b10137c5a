"""What a worker knows without asking: a view of each breaker, fed by push, trusted while fresh."""

from breaker.push.watch import Watch

__all__ = ["Watch"]
