"""The command `siloscore`: it makes data, adds parties, trains and compares models, and shows them in MLflow."""

import os
import shlex
import signal
import sys
import warnings
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from experiments import (
    audit_commands,
    export_commands,
    model_commands,
    party_commands,
    resuming,
    serving_commands,
)
from experiments.doctor.command import doctor
from experiments.federation import commands as federation_commands
from experiments.help import DEPLOYMENT, PARTIES, STUDIES, TRUST, OneScreen
from experiments.options import (
    Backend,
    BackendOption,
    Data,
    Encryption,
    Experiment,
    Json,
    Parties,
    Role,
    Seeds,
    Setting,
    Store,
    TestIds,
)
from experiments.settings import parse_settings, words

if TYPE_CHECKING:
    from experiments.dataset import Dataset
    from fl.config.run import TrainingConfig

app = typer.Typer(
    cls=OneScreen,
    help="Federated credit scoring of small businesses, and what a bank can do alone.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
_errors = Console(stderr=True)


@app.command(rich_help_panel=STUDIES)
def generate(
    out: Annotated[Path, typer.Option(help="Folder for the dataset. It must be new or empty.")],
    businesses: Annotated[int, typer.Option(min=100, help="Number of applicants.")] = 20_000,
    world: Annotated[
        str,
        typer.Option(
            help="base, no-tax-signal, no-supply-signal, no-partner-signal, no-contagion or recession."
        ),
    ] = "base",
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the simulation. Equal seeds give equal data.")
    ] = 1,
    truth: Annotated[
        bool, typer.Option("--truth", help="Also compute the true probability of default of each applicant.")
    ] = False,
    parties: Annotated[
        str,
        typer.Option(help="Parties to write records of, comma-separated. Default: bank,tax,supply_chain."),
    ] = "",
    banks: Annotated[int, typer.Option(min=1, max=26, help="Number of banks among which firms choose.")] = 1,
    bank_shares: Annotated[
        str,
        typer.Option(help="Each bank's share of the applicants, such as 0.7,0.2,0.1. Default: equal shares."),
    ] = "",
    bank_skew: Annotated[
        str, typer.Option(help="By what firms choose their bank: region, sector, or none (by chance).")
    ] = "none",
) -> None:
    """Simulate an economy, and write each party's records.

    Example: siloscore generate --businesses 20000 --world base --seed 1 --truth --out data/demo
    """
    from experiments.display import console, step_bars
    from experiments.economies import banks_of, write_economy
    from synthetic_data import STANDARD

    recorded, division = words(parties) or STANDARD, banks_of(banks, bank_shares, bank_skew)
    with step_bars() as progress:
        write_economy(out, businesses, world, seed, truth, progress, recorded, division)
    console.print(f"{out}: {businesses:,} applicants, world {world}, seed {seed}")


@app.command(rich_help_panel=STUDIES)
def compare(
    data: Data = Path("data/demo"),
    seeds: Seeds = "1",
    contenders: Annotated[str, typer.Option(help="Models to compare, comma-separated. Default: all.")] = "",
    parties: Parties = "",
    test_ids: TestIds = None,
    backend: BackendOption = Backend.simulation,
    store: Store = Path("mlflow.db"),
    experiment: Experiment = "siloscore",
    encryption: Encryption = "",
    json: Json = None,
    estimate: Annotated[
        bool,
        typer.Option("--estimate", help="Say what it would take, in less than a minute, and train nothing."),
    ] = False,
    settings: Setting = [],  # noqa: B006  (typer reads the default and never changes it)
) -> None:
    """Train federated and other models, and compare them.

    All learn from the same rows; the table shows which is best and by how much.

    Example: siloscore compare --data data/demo --seeds 1,2
    """
    from experiments.display import progress_bars
    from experiments.ending import tell_study
    from experiments.outputs import check_file
    from experiments.study import all_contenders, run_study

    if json:
        check_file(json, "The table")
    dataset, config = _configured(data, seeds, parties, test_ids, _encrypted(settings, encryption))
    if estimate:
        _tell_estimates(dataset, config, words(contenders) or all_contenders())
        return
    config = _logged(config, dataset, experiment, store)
    with progress_bars() as report:
        outcome = run_study(dataset, config, words(contenders) or all_contenders(), backend.value, report)
    tell_study(outcome, config, backend.value, store, json)


@app.command(rich_help_panel=STUDIES)
def run(
    contender: Annotated[str, typer.Option(help="The model to train, such as federated-network.")],
    data: Data = Path("data/demo"),
    seeds: Seeds = "1",
    parties: Parties = "",
    test_ids: TestIds = None,
    backend: BackendOption = Backend.simulation,
    store: Store = Path("mlflow.db"),
    experiment: Experiment = "siloscore",
    encryption: Encryption = "",
    json: Json = None,
    settings: Setting = [],  # noqa: B006
) -> None:
    """Train one model, evaluate it, and log it.

    The log is in MLflow.

    Example: siloscore run --contender federated-network --data data/demo --set network.noise=8
    """
    from fl.errors import ConfigError

    if len(words(contender)) != 1:
        raise ConfigError("Name one contender; siloscore compare trains several.")
    compare(
        data=data,
        seeds=seeds,
        contenders=contender,
        parties=parties,
        test_ids=test_ids,
        backend=backend,
        store=store,
        experiment=experiment,
        encryption=encryption,
        json=json,
        settings=settings,
    )


@app.command(rich_help_panel=STUDIES)
def report(
    out: Annotated[Path, typer.Option(help="Folder for report.html, report.md and their figures.")],
    data: Annotated[Path | None, typer.Option(help="Folder of the dataset. Default: data/demo.")] = None,
    worlds: Annotated[
        str, typer.Option(help="Worlds to simulate economies of, comma-separated, instead of --data.")
    ] = "",
    economies: Annotated[
        str, typer.Option(help="With --worlds: seeds of the economies in each world, comma-separated.")
    ] = "1,2,3",
    businesses: Annotated[
        int, typer.Option(min=1000, help="With --worlds: number of applicants in each economy.")
    ] = 20_000,
    truth: Annotated[
        bool,
        typer.Option("--truth", help="With --worlds: also judge fairness by the true PD."),
    ] = False,
    seeds: Seeds = "1",
    algorithm: Annotated[
        str,
        typer.Option(help="Compare its bank-only with its federated model."),
    ] = "boosting",
    contenders: Annotated[
        str, typer.Option(help="Compare these two models instead: the one in use, and the one to replace it.")
    ] = "",
    policy: Annotated[
        Path | None,
        typer.Option(help="TOML file of the lending policy. Default: the policy in docs/report.md."),
    ] = None,
    parties: Parties = "",
    test_ids: TestIds = None,
    backend: BackendOption = Backend.inline,
    store: Store = Path("mlflow.db"),
    experiment: Experiment = "siloscore-report",
    settings: Setting = [],  # noqa: B006
) -> None:
    """Show what a federated score would change for the lender.

    It is about approvals, bad rates, credit lines, prices and profit. Both models decide on the same applicants under
    one lending policy. The report compares the result with published claims and, with --worlds, across worlds such as
    one in which the partners' records tell nothing.

    Example: siloscore report --worlds base,no-partner-signal --economies 1,2,3 --out reports/worlds
    """
    from experiments.lending.command import choose_pair, choose_sources, write_report

    pair = choose_pair(algorithm, contenders)
    sources, config = choose_sources(
        *(worlds, economies, businesses, truth, data, seeds, settings),
        lambda folder: _configured(folder, seeds, parties, test_ids, settings),
    )
    command = shlex.join(["siloscore", *sys.argv[1:]])
    write_report(sources, config, pair, policy, backend.value, store, experiment, command, out)


@app.command(rich_help_panel=STUDIES)
def ablation(
    data: Data = Path("data/demo"),
    contender: Annotated[str, typer.Option(help="The federated model to train.")] = "federated-boosting",
    seeds: Seeds = "1",
    parties: Parties = "",
    test_ids: TestIds = None,
    backend: BackendOption = Backend.inline,
    store: Store = Path("mlflow.db"),
    experiment: Experiment = "siloscore",
    settings: Setting = [],  # noqa: B006
) -> None:
    """Show what each party adds to the federated model.

    The model is trained without the party, and with only the party and the bank. It is the same under every engine of
    encryption, so you can use the fastest.

    Example: siloscore ablation --data data/demo --seeds 1,2 --set boosting.encryption=plain
    """
    from experiments.ablation import run_ablation
    from experiments.comparison.gains import headline
    from experiments.display import console, gains_table, progress_bars
    from experiments.mlflow_page import latest_link

    dataset, config = _configured(data, seeds, parties, test_ids, settings)
    config = _logged(config, dataset, experiment, store)
    with progress_bars() as report:
        outcome = run_ablation(dataset, config, contender, backend.value, report)
    console.print(gains_table(outcome.gains, contender, len(config.seeds)))
    console.print(headline(outcome.gains), style="bold", markup=False)
    _point_to(store, latest_link(store, experiment))


@app.command(rich_help_panel=STUDIES)
def benchmark(
    out: Annotated[Path, typer.Option(help="File for the results.")] = Path("benchmark.json"),
    credit: Annotated[
        Path | None, typer.Option(help="Folder of the credit-card data. Default: without them.")
    ] = None,
    cases: Annotated[str, typer.Option(help="Cases to run, comma-separated. Default: all.")] = "",
    contenders: Annotated[str, typer.Option(help="Models to run, comma-separated. Default: all.")] = "",
    tables: Annotated[
        Path | None, typer.Option(help="Also write the rows and columns of every case to this folder.")
    ] = None,
    businesses: Annotated[
        int, typer.Option(min=100, help="Applicants of an economy; with another number, nothing is frozen.")
    ] = 20_000,
    submission: Annotated[
        Path | None,
        typer.Option(help="File of predictions to judge by the results in --out; then nothing is trained."),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the submitted model. Default: that of its file.")] = "",
    against: Annotated[
        str, typer.Option(help="The model over which the table tells gains.")
    ] = "pooled-trees",
) -> None:
    """Run the frozen benchmark, or add another's line to it.

    The data, the test rows and the seeds are always the same (docs/benchmark.md). The file of results holds the figures
    and the prediction of every model for every test row. With --submission, a file with the columns case, id and pd is
    checked against those rows, and shown among the others.

    Example: siloscore benchmark --out benchmark.json --submission mine.csv --name my-model
    """
    from experiments.frozen_benchmark.command import judge, run_and_write, show

    if submission:
        results = judge(out, submission, name, against)
    else:
        results = run_and_write(out, cases, contenders, businesses, credit, tables, against)
    show(results, against)


app.command("score", rich_help_panel=STUDIES)(model_commands.score)
app.command("explain", rich_help_panel=STUDIES)(model_commands.explain)
app.command("challenge", rich_help_panel=STUDIES)(model_commands.challenge)


@app.command(rich_help_panel=TRUST)
def attack(
    data: Data = Path("data/demo"),
    contender: Annotated[
        str, typer.Option(help="The federated model to attack; not with --role active.")
    ] = "federated-network",
    role: Annotated[
        Role,
        typer.Option(
            help="curious: follows the protocol and keeps what it receives; active: departs from the protocol."
        ),
    ] = Role.curious,
    party: Annotated[
        str,
        typer.Option(
            help="The party that attacks, and is attacked by the bank. Default: the first passive one."
        ),
    ] = "",
    seeds: Seeds = "1",
    parties: Parties = "",
    test_ids: TestIds = None,
    settings: Setting = [],  # noqa: B006
) -> None:
    """Measure what a curious party could infer.

    Models are trained with and without the defences.

    With --role active, send the parties what no honest coordinator would, alone or with the keys of a party, and show
    what they refuse and what is got of them.

    Example: siloscore attack --data data/demo --contender federated-boosting --party tax
    """
    from experiments.attacks.contenders import play, play_hostile
    from experiments.attacks.tables import outcome_table, tables
    from experiments.display import console, progress_bars

    _, config = _configured(data, seeds, parties, test_ids, settings)
    if role is Role.active:
        with progress_bars() as report:
            outcomes = play_hostile(config, party, report)
        console.print(outcome_table(outcomes))
        return
    with progress_bars() as report:
        attacks = play(contender, config, party, report)
    console.print(*tables(attacks), sep="\n")
    console.print(f"Every number of an evaluation stands for {attacks.group} applicants or more.")


app.command("parties", rich_help_panel=PARTIES)(party_commands.parties)
app.command("check-party", rich_help_panel=PARTIES)(party_commands.check_party)
app.command("init-party", rich_help_panel=PARTIES)(party_commands.init_party)
app.command("features", rich_help_panel=PARTIES)(export_commands.features)
app.command("export", rich_help_panel=PARTIES)(export_commands.export)
app.command("keys", rich_help_panel=TRUST)(party_commands.keys)
app.command("policy", rich_help_panel=TRUST)(party_commands.policy)
app.add_typer(audit_commands.app, name="audit", rich_help_panel=TRUST)
app.add_typer(federation_commands.app, name="federation", rich_help_panel=DEPLOYMENT)
app.command("resume", rich_help_panel=DEPLOYMENT)(resuming.resume)
app.command("doctor", rich_help_panel=DEPLOYMENT)(doctor)
app.command("serve", rich_help_panel=DEPLOYMENT)(serving_commands.serve)


@app.command(rich_help_panel=STUDIES)
def ui(
    store: Store = Path("mlflow.db"),
    experiment: Experiment = "siloscore",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Local port; 0 takes a free one.")] = 5000,
) -> None:
    """Show the latest study in MLflow, until Ctrl-C.

    The command prints the link of the study and serves the page.

    Example: siloscore ui
    """
    from experiments.display import console
    from experiments.mlflow_page import latest_link, serve
    from experiments.servers import check_port, free_port

    port = port or free_port()
    link = latest_link(store, experiment, port)
    check_port(port)
    console.print(f"Open {link}", soft_wrap=True)
    code = serve(store, port)
    _tell(f"MLflow's server has ended by itself with exit code {code}; its last words stand above.")
    raise typer.Exit(code or 1)


def _tell_estimates(dataset: "Dataset", config: "TrainingConfig", contenders: tuple[str, ...]) -> None:
    """Print what the contenders would take."""
    from experiments.display import console, estimate_table
    from experiments.estimate import estimates
    from experiments.study import check_contenders

    check_contenders(contenders)
    with console.status("Measuring what the steps take on this machine"):
        found = estimates(dataset, config, contenders)
    console.print(
        estimate_table(found, len(config.seeds)),
        "Where training stops early, it takes less. Minutes are those of this machine when it is idle.",
        sep="\n",
    )


def _logged(config: "TrainingConfig", dataset: "Dataset", experiment: str, store: Path) -> "TrainingConfig":
    from experiments.configuration import logged

    return logged(config, dataset, store, experiment)


def _point_to(store: Path, link: str) -> None:
    from experiments.display import console

    console.print(f"In MLflow: run `siloscore ui --store {store}` and open {link}", soft_wrap=True)


def _encrypted(settings: list[str], engine: str) -> list[str]:
    """The settings, with an engine of encryption for every algorithm that encrypts; an empty engine changes nothing."""
    from fl.config.run import sections

    if not engine:
        return settings
    return settings + [
        f"{name}.encryption={engine}"
        for name, section in sections().items()
        if hasattr(section, "encryption")
    ]


def _configured(
    data: Path, seeds: str, parties: str, test_ids: Path | None, settings: list[str]
) -> "tuple[Dataset, TrainingConfig]":
    """`experiments.configuration.open_study`, from what was typed."""
    from experiments.configuration import open_study

    return open_study(data, {**parse_settings(settings), "seeds": seeds}, words(parties), test_ids, _warn)


def _show_warning(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
    """A warning about data is a sentence for the user; any other one is shown as Python shows it."""
    from clients.data.errors import DataWarning

    if issubclass(category, DataWarning):
        _warn(str(message))
    else:
        sys.stderr.write(warnings.formatwarning(message, category, *place[:2]))


def _warn(warning: str) -> None:
    _errors.print(f"[yellow]Warning:[/yellow] {escape(warning)}", highlight=False, soft_wrap=True)


def _tell(error: str) -> None:
    _errors.print(f"[red]Error:[/red] {escape(error)}", highlight=False, soft_wrap=True)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def main() -> None:
    """Run the command. An error that a user can act on is one sentence and exit code 2, without a traceback."""
    # This must precede the import of NumPy. On small matrices several threads wait longer than they work.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # A command that is ended from outside must end its MLflow runs, and Flower, which runs in a session of its own.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    warnings.showwarning = _show_warning
    try:
        app()
    except Exception as error:
        from experiments.failures import EXPECTED, sentence

        if not isinstance(error, EXPECTED):
            raise
        _tell(sentence(error))
        raise SystemExit(2) from None
