"""What a fleet makes of an upstream that limits it: policies against shapes of limits."""
