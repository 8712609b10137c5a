"""The conversation with the store, without any I/O: keys, scripts, wire format, plans."""
