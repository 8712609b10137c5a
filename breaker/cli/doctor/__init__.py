"""`breaker doctor`: one module per theme of checks, each a function from a Case to its findings."""
