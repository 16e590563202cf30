"""The evaluation cases: the same as `suffice eval`."""

import sys

from suffice.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["eval", *sys.argv[1:]]))
