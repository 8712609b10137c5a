"""One worker process of the fleet, with or without a breaker.

Run as `python -m breaker.demo.worker NAME FRAMEWORK URL SETTINGS`; SETTINGS are the breaker's, as
JSON, or `null`.
"""

import json
import sys

from breaker.demo.frameworks import broker


def main(name: str, framework: str, url: str, settings: str) -> None:
    """Work until asked to stop."""
    if framework == "rq":
        from breaker.demo.frameworks.rq import work  # noqa: PLC0415 - another may not be there

        work(name, url, json.loads(settings))
    else:
        broker(framework, url).work(name, json.loads(settings))


if __name__ == "__main__":
    main(*sys.argv[1:])
