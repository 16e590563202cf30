"""`suffice triage`: look at frozen evidence, and see a difference happen again."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from suffice.cli import options

app = typer.Typer(help="Look at frozen evidence, and see a difference happen again.", no_args_is_help=True)


@app.command("check")
def check(bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")], json: options.Json = False) -> int:
    """Check every file of a bundle against its manifest. Exits 2 when one was changed, added or removed."""
    from suffice.cli.console import print_json
    from suffice.rollout.triage import check as check_bundle

    count = check_bundle(bundle)
    if json:
        print_json({"bundle": str(bundle), "files": count, "intact": True})
    else:
        sys.stdout.write(f"{count} files are as they were frozen\n")
    return 0


@app.command("reproduce")
def reproduce(
    bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")],
    key: Annotated[str | None, typer.Option(help="The decision [default: the bundle's first].")] = None,
    json: options.Json = False,
) -> int:
    """Decide a disagreeing decision of a bundle again from its seed, and print both paths look by look.

    Exits 0 when the difference is seen again, 2 when it is not.
    """
    from suffice.cli.console import print_json, print_table
    from suffice.rehearsal.reproduce import reproduce as reproduced

    found = reproduced(bundle, key)
    if json:
        print_json(found)
    else:
        rows = (
            (str(look["n"]), f"{look['baseline']:.6g}", "–" if look["adaptive"] is None else f"{look['adaptive']:.6g}")
            for look in found["looks"]
        )
        title = (
            f"{found['key']}: fixed {found['baseline']} after {found['baseline_n']}, "
            f"adaptive {found['adaptive']} after {found['adaptive_n']}"
        )
        print_table(title, ("draws", "fixed sees", "adaptive sees"), rows)
    return 0 if found["differs"] else 2
