"""A service that decides with Suffice: a request as a line of JSON on standard input, an answer on standard output."""

import json
import sys

from cases import build

import suffice


def main() -> None:
    with suffice.Verifier.from_config("config.json") as verifier:
        for line in sys.stdin:
            request = json.loads(line)
            served = verifier.verify(build(**request))
            answer = {"key": request["key"], "holds": served.decision.value, "floods": served.n}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
