"""Send jobs: `python producer.py 160`."""

import sys

from app import call_the_api

for number in range(int(sys.argv[1])):
    call_the_api(number)
