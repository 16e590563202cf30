"""Options that several commands share, and how they and the configuration become a rule and plans."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from suffice.errors import ConfigError, MissingDataError, PlanError, RolloutError

if TYPE_CHECKING:
    from suffice.config import Config
    from suffice.decision.rule import Rule
    from suffice.rollout.world import Place
    from suffice.stopping.plan import Plan
    from suffice.store.database import Store

CONFIG = Path("config.json")
QUEUE = Path("TemporaryQueue")

Csv = Annotated[Path | None, typer.Option("--csv", help="Write the rows behind the numbers, as CSV.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="Configuration file [default: ./config.json].")]
UseConfig = Annotated[
    bool, typer.Option("--use-config", help="Require a configuration file; it sets what no other option sets.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Queue = Annotated[
    Path, typer.Option("--queue", help="The folder of store.db, flag.json, metrics.json and triage bundles.")
]
Who = Annotated[
    str | None,
    typer.Option("--who", metavar="NAME", help="Who says so, for the journal [default: the user of this process]."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would follow, and change nothing.")]
StoreUrl = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="The store's database, like postgresql://user@host/database [default: $SUFFICE_STORE_URL, else store.db "
        "in --queue]. Others can see a command line: leave a password to the variable or ~/.pgpass.",
        envvar="SUFFICE_STORE_URL",
        show_envvar=False,
    ),
]


def _share(text: str) -> float:
    """The number that a person writes as 0.8, 5/6 or 80 %."""
    from suffice.decision.share import share_in

    try:
        return share_in(text)
    except (ValueError, ZeroDivisionError):
        raise typer.BadParameter(f"{text!r} is no number; allowed: a number like 0.8, 5/6 or 80%") from None


RuleName = Annotated[
    Literal["proportion", "paired_mean", "monte_carlo_p", "mean", "binary_mean"] | None,
    typer.Option("--rule", help="The decision rule [default: as configured]."),
]
Method = Annotated[
    Literal["optimal", "curtailed", "curtailed-exact", "margin", "fixed"] | None,
    typer.Option("--method", help="How the plan is made [default: as configured]."),
]
AtLeast = Annotated[
    float | None,
    typer.Option(
        "--at-least", parser=_share, help="proportion: the share that must succeed, 0.8, 5/6 or 80%; mean: the claim."
    ),
]
AtMost = Annotated[float | None, typer.Option("--at-most", help="mean, binary_mean: the claim.")]
Alpha = Annotated[
    float | None, typer.Option("--alpha", parser=_share, help="The level of a test [default: p_threshold].")
]
MinEffect = Annotated[float | None, typer.Option("--min-effect", help="paired_mean: the least |mean difference|.")]
TiesWithin = Annotated[
    float | None,
    typer.Option(
        "--ties-within", metavar="SHARE", help="monte_carlo_p: the relative difference that is a tie, like 1e-9."
    ),
]
Draws = Annotated[int | None, typer.Option("--n", help="N, the draws of the fixed decision.")]
MaxDisagreement = Annotated[
    str | None,
    typer.Option(
        "--max-disagreement", metavar="BOUND", help="Bound on disagreement: 0.01, or accept=0.001,reject=0.01."
    ),
]
LookEvery = Annotated[int | None, typer.Option("--look-every", help="Draws between looks.")]
FirstLook = Annotated[int | None, typer.Option("--n-min", help="Draws before the first look [default: --look-every].")]
Workers = Annotated[int, typer.Option("--workers", help="Processes on this machine that share the work.")]
Cluster = Annotated[
    str | None,
    typer.Option("--cluster", metavar="ADDRESS", help="A running Dask scheduler, like tcp://10.0.0.1:8786."),
]
Service = Annotated[str, typer.Option("--service", metavar="NAME", help="The service that the rollout is about.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the journal and the triage item.")]
Waive = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GATE",
        help="Go without this gate: determinism, where nobody can build a case again; targets, where there are few "
        "of them. GATE=REASON keeps a reason in the journal. May stand several times.",
    ),
]
Plot = Annotated[Path | None, typer.Option("--plot", help="Draw it to this .svg or .png file.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of all streams.")]


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """The options that name a store."""

    queue: Queue = QUEUE
    store: StoreUrl = None

    @property
    def address(self) -> str | Path:
        """The URL or the file of the store."""
        from suffice.store.address import store_of

        return store_of(self.queue, self.store)

    def existing(self, *, upgrade: bool = True) -> "Store":
        """The store that is there. Raises MissingDataError, which says what to do next, when there is none; StoreError
        for an older one that it may not `upgrade`."""
        from suffice.store.database import open_store

        try:
            return open_store(self.address, create=False, upgrade=upgrade)
        except MissingDataError as error:
            # Not before: it loads all that a rollout needs.
            from suffice.rollout.world import Place

            raise no_store(error, Place(queue=self.queue, url=self.store)) from error


def no_store(error: MissingDataError, place: "Place") -> MissingDataError:
    """The error that there is no store, with what to do next."""
    start = place.command("rollout start")
    return MissingDataError(f"{error}; possible: start (`{start}`), or another place by --queue or --store")


@dataclass(frozen=True, slots=True)
class RuleOptions:
    """The options of a decision rule and its plan. None stands for what the configuration or a default says."""

    rule: RuleName = None
    at_least: AtLeast = None
    at_most: AtMost = None
    alpha: Alpha = None
    min_effect: MinEffect = None
    ties_within: TiesWithin = None
    n: Draws = None
    max_disagreement: MaxDisagreement = None
    look_every: LookEvery = None
    n_min: FirstLook = None


@dataclass(frozen=True, slots=True)
class Setting:
    """A rule, N, and everything else that plans are made from."""

    rule: "Rule"
    n: int
    max_disagreement: "float | dict[str, float]"
    looks: tuple[int, ...] | None
    look_every: int | None
    n_min: int | None
    config: "Config"

    def plan(self, method: str, n: int | None = None, *, guarded: bool = False) -> "Plan":
        """The plan of this method, from the user's plan cache where it was made before.

        `n` is another N than the one chosen; the first look is then no later. `guarded` is for draws of unknown shape.
        """
        from suffice.stopping.cache import default_cache
        from suffice.stopping.make import plan
        from suffice.stopping.request import Margin

        sampling = self.config.verifier.adaptive_sampling
        n_min = self.n_min
        if n is not None and self.look_every is not None:
            n_min = min(n, self.look_every if n_min is None else n_min)
        return plan(
            self.rule,
            self.n if n is None else n,
            self.max_disagreement,
            method=method,
            looks=self.looks,
            look_every=self.look_every,
            n_min=n_min,
            margin=Margin.of(sampling),
            guarded=guarded,
            cache=default_cache(),
        )


def setting_of(
    choice: RuleOptions, config: "Config", looks: str | None = None, *, config_looks: bool = True
) -> Setting:
    """Command-line options over the configuration. Raises PlanError for what cannot be."""
    from suffice.decision.rules import rule_of

    verifier = config.verifier
    sampling = verifier.adaptive_sampling
    name = choice.rule or verifier.rule
    at_least = verifier.confidence_threshold if choice.at_least is None else choice.at_least
    alpha = verifier.p_threshold if choice.alpha is None else choice.alpha
    min_effect = verifier.min_effect_size if choice.min_effect is None else choice.min_effect
    claim = {"at_least": choice.at_least, "at_most": choice.at_most, "alpha": alpha}
    parameters: dict[str, dict[str, float | None]] = {
        "proportion": {"at_least": at_least},
        "paired_mean": {"alpha": alpha, "min_effect": min_effect},
        "mean": claim,
        "binary_mean": claim,
        "monte_carlo_p": {"alpha": alpha, "ties_within": choice.ties_within or 0.0},
    }
    n = verifier.n_samples if choice.n is None else choice.n
    from_config = config_looks and choice.look_every is None and looks is None
    return Setting(
        rule=rule_of(name, parameters.get(name, {})),
        n=n,
        max_disagreement=_bound(choice.max_disagreement, sampling.max_disagreement),
        looks=None if looks is None else _looks(looks),
        look_every=sampling.look_every if from_config else choice.look_every,
        n_min=sampling.n_min if from_config and choice.n_min is None else choice.n_min,
        config=config,
    )


def read_config(path: Path | None, *, required: bool) -> "Config":
    """The configuration at `path`, or else ./config.json.

    Without both, and if none is required, it is the one that we ship. Raises ConfigError.
    """
    from suffice.config import config_file, load, shipped

    file = config_file(path)
    if required and not (file and file.exists()):
        raise ConfigError(f"{file or CONFIG}: there is no such file; name one with --config")
    return load(file) if file else shipped()


def asked_config(path: Path | None, *, use_config: bool) -> "Config":
    """The configuration that --config names or --use-config asks for; without both, the one that we ship.

    Raises ConfigError.
    """
    from suffice.config import shipped

    return read_config(path, required=True) if use_config or path is not None else shipped()


def seconds(option: str, text: str) -> float:
    """A duration like 90s, 15m, 24h or 2d, in seconds. Raises RolloutError, which names the option."""
    from suffice.config import parse_duration

    try:
        return parse_duration(text).total_seconds()
    except ValueError:
        raise RolloutError(f'{option} is {text!r}; allowed: a duration like "90s", "15m", "24h" or "2d"') from None


def user() -> str:
    """The user of this process."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"


def _bound(given: str | None, configured: "float | dict[str, float]") -> "float | dict[str, float]":
    if given is None:
        return configured
    try:
        if "=" not in given:
            return float(given)
        pairs = (part.split("=", 1) for part in given.split(","))
        return {side.strip(): float(value) for side, value in pairs}
    except ValueError:
        raise PlanError(
            f"--max-disagreement is {given!r}; allowed: a number from 0 to below 1, or accept=NUMBER,reject=NUMBER"
        ) from None


def _looks(given: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in given.split(","))
    except ValueError:
        raise PlanError(f"--looks is {given!r}; allowed: whole numbers with commas between, like 16,32,64") from None
