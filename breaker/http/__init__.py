"""Hooks for HTTP clients: the breaker sees every attempt, also those that an SDK repeats.

One module for each client, which is imported only there: `breaker.http.httpx`,
`breaker.http.requests`, `breaker.http.aiohttp`, `breaker.http.botocore`.
"""
