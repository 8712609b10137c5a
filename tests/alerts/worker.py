"""A worker process that hears of trips, and tells of them: python worker.py URL DSN NAME ..."""

import sys

import sentry_sdk

from breaker import Breaker


def main(url, dsn, *names):
    sentry_sdk.init(dsn=dsn, default_integrations=False)
    breakers = [Breaker(name, url=url, threshold=1, cooldown=600) for name in names]
    for breaker in breakers:
        breaker.acquire().success()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
