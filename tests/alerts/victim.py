"""A worker that is killed between the script that trips and the alert: python victim.py URL NAME ..."""

import os
import signal
import sys

from breaker import Breaker, alerts, face


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def main(url, name):
    assert face.tell is alerts.tell
    face.tell = die
    Breaker(name, url=url, threshold=1, cooldown=600, push=False).record_rate_limit_error()


if __name__ == "__main__":
    main(*sys.argv[1:])
