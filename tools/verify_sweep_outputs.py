"""Whether a sweep's outputs can be trusted: the same as `suffice verify-sweep`."""

import sys

from suffice.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["verify-sweep", *sys.argv[1:]]))
