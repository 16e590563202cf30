"""Summary of the counters: the same as `suffice metrics`."""

import sys

from suffice.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["metrics", *sys.argv[1:]]))
