"""The commands that train: studies, what each party adds, a report for the lender, and the frozen benchmark."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.options import (
    AllowTwo,
    Backend,
    BackendOption,
    Data,
    Encryption,
    Experiment,
    Json,
    Parties,
    Seeds,
    Setting,
    Store,
    TestIds,
)
from experiments.settings import parse_settings, words
from experiments.telling import warn

if TYPE_CHECKING:
    from experiments.dataset import Dataset
    from fl.config.run import TrainingConfig


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
        typer.Option("--estimate", help="Say what it would take, and train nothing."),
    ] = False,
    allow_two: AllowTwo = False,
    join: Annotated[
        str,
        typer.Option(help="Study of several banks: a bank that joins takes its models, and none is trained."),
    ] = "",
    bank: Annotated[str, typer.Option(help="With --join: the folder of the bank that joins.")] = "",
    settings: Setting = [],  # noqa: B006  (typer reads the default and never changes it)
) -> None:
    """Train federated and other models, and compare them.

    All learn from the same rows; the table shows which is best and by how much.

    With --join, a bank that joins others gets the models that they have trained, from another bank; the table compares
    them on its test rows with what it reaches alone.

    Example: siloscore compare --data data/demo --seeds 1,2
    """
    from experiments.contenders import all_contenders
    from experiments.display import progress_bars
    from experiments.ending import tell_study
    from experiments.joining import open_join
    from experiments.mlflow_page import store_uri
    from experiments.outputs import check_file
    from experiments.study import run_study

    if json:
        check_file(json, "The table")
    settings = _encrypted(settings, encryption) + (["banks.allow-two=true"] if allow_two else [])
    if join or bank:
        typed = parse_settings(settings), words(contenders), words(parties)
        dataset, config = open_join(store_uri(store), join, data, bank, seeds, test_ids, *typed)
        names = config.contenders
    else:
        dataset, config = configured(data, seeds, parties, test_ids, settings)
        names = words(contenders) or all_contenders(dataset.layout)
    config = _logged(config, dataset, experiment, store)
    if estimate:
        _tell_estimates(dataset, config, names)
        return
    with progress_bars() as report:
        outcome = run_study(dataset, config, names, backend.value, report)
    tell_study(outcome, config, backend.value, store, json)


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
    allow_two: AllowTwo = False,
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
        allow_two=allow_two,
        settings=settings,
    )


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
        lambda folder: configured(folder, seeds, parties, test_ids, settings),
    )
    command = shlex.join(["siloscore", *sys.argv[1:]])
    write_report(sources, config, pair, policy, backend.value, store, experiment, command, out)


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

    dataset, config = configured(data, seeds, parties, test_ids, settings)
    config = _logged(config, dataset, experiment, store)
    with progress_bars() as report:
        outcome = run_ablation(dataset, config, contender, backend.value, report)
    console.print(gains_table(outcome.gains, contender, len(config.seeds)))
    console.print(headline(outcome.gains), style="bold", markup=False)
    _point_to(store, latest_link(store, experiment))


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


def _tell_estimates(dataset: "Dataset", config: "TrainingConfig", contenders: tuple[str, ...]) -> None:
    """Print what the contenders would take, in a study of one bank, and keep it for the log of a run."""
    from experiments.display import console, estimate_table
    from experiments.estimate.forecast import estimates
    from experiments.estimate.kept import keep
    from experiments.study import check_contenders

    check_contenders(contenders, dataset.layout)
    with console.status("Measuring what the steps take on this machine"):
        found = estimates(dataset, config, contenders)
    keep(found, dataset, config)
    console.print(
        estimate_table(found, len(config.seeds)),
        "Rounds are as many as a training usually takes. Minutes are those of this machine when it is idle.",
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


def configured(
    data: Path, seeds: str, parties: str, test_ids: Path | None, settings: list[str]
) -> "tuple[Dataset, TrainingConfig]":
    """`experiments.configuration.open_study`, from what was typed."""
    from experiments.configuration import open_study

    return open_study(data, {**parse_settings(settings), "seeds": seeds}, words(parties), test_ids, warn)
