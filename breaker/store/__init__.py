"""The only place that speaks to Redis or Valkey: connect, and drive the plans, sync and async."""
