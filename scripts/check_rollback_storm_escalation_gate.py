"""The escalation gate: the same as `suffice gate`."""

import sys

from suffice.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["gate", *sys.argv[1:]]))
