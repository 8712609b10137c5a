"""What the guard costs, measured side by side in one run: `make bench`."""
