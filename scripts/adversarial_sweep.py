"""The adversarial sweep: the same as `suffice sweep`."""

import sys

from suffice.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["sweep", *sys.argv[1:]]))
