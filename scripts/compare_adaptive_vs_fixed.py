"""Adaptive against fixed: the same as `suffice compare`."""

import sys

from suffice.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["compare", *sys.argv[1:]]))
