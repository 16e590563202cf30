"""A rehearsal whose process is killed when it has decided so many cases."""

import os
import signal
import sys
from itertools import count

from suffice.cli.main import run
from suffice.serving.served import Served
from suffice.serving.verifier import Verifier
from suffice.verifier.case import Case

_verify, _decided = Verifier.verify, count(1)


def verify(self: Verifier, case: Case) -> Served:
    served = _verify(self, case)
    if next(_decided) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    return served


if __name__ == "__main__":
    Verifier.verify = verify  # type: ignore[method-assign]
    sys.exit(run(sys.argv[2:]))
