"""The paths, one module for each group; `breaker.service.app` lists them.

A route that uses the store is a plain `def`, which FastAPI runs in a thread.
"""
