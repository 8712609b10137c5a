"""Queue frameworks: one module for each, over the shared gate."""
