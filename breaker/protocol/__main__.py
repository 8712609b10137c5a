"""`python -m breaker.protocol DIR` writes every script as the store sees it into DIR."""

import sys
from pathlib import Path

from breaker.protocol.scripts import render

if __name__ == "__main__":
    render(Path(sys.argv[1]))
