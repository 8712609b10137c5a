"""A fleet, an upstream that limits it, and a terminal to watch them in: `breaker demo`."""
