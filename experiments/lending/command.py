"""`siloscore report`: from what was typed to a finished report."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from experiments.dataset import Dataset, only_holder
from experiments.display import console, progress_bars
from experiments.lending.policy import DEFAULT, read_policy
from experiments.lending.report import Source, Task, make_report, of_dataset, of_worlds
from experiments.mlflow_page import latest_link
from experiments.outputs import check_folder, check_store
from experiments.settings import parse_settings, words
from experiments.study import check_contenders
from fl.config.run import TrainingConfig
from fl.errors import ConfigError

DATA = Path("data/demo")


def choose_pair(algorithm: str, contenders: str) -> tuple[str, str]:
    """Reference and challenger: the contenders named, or the bank-only and the federated one of the algorithm.

    Raises ConfigError unless they are two different contenders that exist.
    """
    names = words(contenders) or (f"bank-only-{algorithm}", f"federated-{algorithm}")
    check_contenders(names)
    if len(names) != 2:
        raise ConfigError(
            f"A report compares two contenders, such as A,B; these are {len(names)}: {contenders}."
        )
    return names[0], names[1]


def choose_sources(
    worlds: str,
    economies: str,
    businesses: int,
    truth: bool,
    data: Path | None,
    seeds: str,
    settings: list[str],
    configured: Callable[[Path], tuple[Dataset, TrainingConfig]],
) -> tuple[list[Source], TrainingConfig]:
    """The datasets to report on, and the configuration of their studies; `configured` opens a dataset of the user's.

    Raises ConfigError when both worlds and data are named, when truth is asked for without worlds, for an unknown world
    or an economy that is no number, and for data of several banks.
    """
    names = words(worlds)
    if truth and not names:
        raise ConfigError("--truth is for --worlds; siloscore generate --truth makes a dataset that has it.")
    if not names:
        dataset, config = configured(data or DATA)
        only_holder(dataset.folder, dataset.parties)
        return of_dataset(dataset), config
    if data:
        raise ConfigError("A report is on --worlds or on --data; name one of them.")
    numbers = words(economies)
    if not numbers or not all(word.isdecimal() for word in numbers):
        raise ConfigError(f"Economies must be whole numbers with commas, not {economies!r}.")
    config = TrainingConfig.from_mapping({**parse_settings(settings), "seeds": seeds})
    return of_worlds(names, tuple(int(word) for word in numbers), businesses, truth), config


def write_report(
    sources: list[Source],
    config: TrainingConfig,
    pair: tuple[str, str],
    policy: Path | None,
    backend: str,
    store: Path,
    experiment: str,
    command: str,
    out: Path,
) -> None:
    """Make the report, with progress, and print its findings and where it is."""
    check_folder(out, "The report")
    check_store(store)
    rules, cash_flow = read_policy(policy or DEFAULT)
    config = replace(config, experiment=experiment, tracking_uri=f"sqlite:///{store.resolve()}")
    with progress_bars() as progress:
        findings = make_report(sources, Task(pair, config, rules, cash_flow, backend, command), out, progress)
    for finding in findings:
        console.print(finding.replace("**", ""), markup=False)
    console.print(f"The report: {out / 'report.html'}", soft_wrap=True)
    console.print(
        f"In MLflow: run `siloscore ui --store {store} --experiment {experiment}` and open "
        f"{latest_link(store, experiment)}",
        soft_wrap=True,
    )
