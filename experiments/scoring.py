"""Scoring as one command: the model of an MLflow run, the applicants of a file, and a file of answers.

The bank alone reads the file of applicants. Whoever runs this has its folder at hand, so the answers that the bank has
kept for itself are written to where they are wanted.
"""

import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from clients.data.declaration import FILE_NAME, read_declaration
from clients.data.files import SUFFIXES
from clients.parties.records import APPLICATIONS
from clients.scoring import read_answers
from experiments.backends import open_backend, with_journal
from experiments.dataset import label_holders, party_names
from experiments.outputs import check_file, whole_file
from fl.config.run import RunConfig, ScoringConfig
from fl.errors import ConfigError
from fl.escaping import csv_text
from server.coordinator import new_study_name
from server.progress import Report, ignore
from server.tracking.registry import TrainedModel, find_model

if TYPE_CHECKING:
    from experiments.challenge.recalibration import Recalibration

REVIEW_BAND = 0.25
"""Log odds on either side of the cut-off: odds of default up to 28 % larger, or 22 % smaller."""


@dataclass(frozen=True)
class FinishedScoring:
    """How many applicants each model answered, most first, for how many each party contributed, how many to review.

    answers has a row per applicant, in the order of their file: what was written.
    """

    models: Mapping[str, int]
    contributed: Mapping[str, int]
    review: int
    answers: pd.DataFrame


def score_applicants(
    uri: str,
    run: str,
    applicants: Path,
    out: Path,
    data: Path | None = None,
    parties: tuple[str, ...] = (),
    backend: str = "inline",
    report: Report = ignore,
    cut_off: float | None = None,
    calibration: Path | None = None,
    bank: str = "",
) -> FinishedScoring:
    """Score the applicants by the model of a run of the MLflow store `uri`, and write the answers to `out`.

    data is the dataset folder with the applicants' records, by default the one of the training; parties are those
    that are there, by default all of the training that have a folder, and bank is the one of several whose applicants
    these are, by its folder. cut_off is the PD above which the bank declines,
    so that applicants near it are marked for review. With a calibration, a file of `siloscore challenge`, the answers
    have recalibrated PDs, too, and the cut-off is one of these. Raises ConfigError, DataError, and whatever the
    backend raises; then nothing has been written.
    """
    if out.suffix not in SUFFIXES:
        raise ConfigError(f"The answers go to a .csv or a .parquet file, not to {out}.")
    if cut_off is not None and not 0 < cut_off < 1:
        raise ConfigError(f"The cut-off must be a PD between 0 and 1, not {cut_off:g}.")
    check_file(out, "The answers")
    if not applicants.is_file():
        raise ConfigError(f"There is no file of applicants {applicants}.")
    # Flower starts while the model is looked up. Scoring is light: whoever works may use all cores.
    with open_backend(backend, parties=1) as run_federation:
        model, folder, names = model_there(find_model(uri, run), data, parties, bank)
        recalibration = _recalibration(calibration, model) if calibration else None
        config = with_journal(scoring_config(model, uri, folder, names, applicants), backend)
        run_federation(config, report)
    answers = read_answers(config, folder / names[0]).frame()
    if recalibration:
        answers = recalibration.apply(answers)
    if cut_off is not None:
        pds = answers[recalibration.column if recalibration else "pd"]
        answers["review"] |= is_near(pds.to_numpy(), cut_off)
    write_whole(answers, out)
    contributed = Counter(party for parties in answers["parties"] for party in parties.split("; "))
    models = dict(Counter(answers["model"]).most_common())
    return FinishedScoring(models, contributed, int(answers["review"].sum()), answers)


def resume_scoring(config: ScoringConfig, out: Path, backend: str, report: Report = ignore) -> int:
    """Go on with a scoring run that broke off, by its own configuration, and write the answers: how many there are."""
    check_file(out, "The answers")
    with open_backend(backend, len(config.parties)) as run_federation:
        run_federation(config, report)
    answers = read_answers(config, config.data_folder / config.parties[0]).frame()
    write_whole(answers, out)
    return len(answers)


def model_there(
    model: TrainedModel, data: Path | None, parties: tuple[str, ...], bank: str = ""
) -> tuple[TrainedModel, Path, tuple[str, ...]]:
    """The model as the bank has it, the dataset's folder, by default that of the training, and the parties, bank first.

    Unless parties are named, they are those of the training that have a folder; of several banks only `bank` takes
    part. Raises DataError, and ConfigError unless one of several banks is named.
    """
    folder = data.resolve() if data else model.config.data_folder
    there = tuple(name for name in model.config.parties if (folder / name / FILE_NAME).exists())
    names = party_names(folder, parties or there)
    holders = label_holders(folder, names)
    if len(holders) == 1 and not bank:
        return model, folder, names
    if bank not in holders:
        said = f"There is no bank {bank!r} in {folder}" if bank else f"{folder} has several banks"
        raise ConfigError(f"{said}. Name the one that asks by --bank: {' or '.join(holders)}.")
    passive = tuple(name for name in names if name not in holders)
    return replace(model, bank=read_declaration(folder / bank).name), folder, (bank, *passive)


def is_near(pds: NDArray[np.float64], cut_off: float) -> NDArray[np.bool_]:
    """Which PDs (n,) are so near a cut-off that a person should decide: within `REVIEW_BAND`.

    >>> is_near(np.array([0.039, 0.041, 0.05, 0.061, 0.064]), cut_off=0.05).tolist()
    [False, True, True, True, False]
    """
    return np.abs(logit(pds) - logit(cut_off)) <= REVIEW_BAND


def _recalibration(path: Path, model: TrainedModel) -> "Recalibration":
    from experiments.challenge.recalibration import read_recalibration  # which brings scikit-learn

    return read_recalibration(path, model.name)


def scoring_command(model: str, bank: Path, /, **options: object) -> str:
    """The command line, quoted for a shell, that scores the bank's own applicants by a model.

    bank is the bank's folder; options are further ones of `siloscore score` by name. Where the bank's type has no file
    of applications, the line names `applicants.csv`.
    """
    name = read_declaration(bank).file or APPLICATIONS
    files = [bank / f"{name}{suffix}" for suffix in ("", *SUFFIXES)]
    applicants = next((file for file in files if file.is_file()), Path("applicants.csv"))
    told = {"run": model, "applicants": applicants, "out": "scores.csv", **options}
    return shlex.join(
        ["siloscore", "score", *(word for key, value in told.items() for word in (f"--{key}", str(value)))]
    )


def scoring_config(
    model: TrainedModel, uri: str, data: Path, parties: tuple[str, ...], applicants: Path | None = None
) -> ScoringConfig:
    """The run that scores the applicants of a file, or of the bank's queue, by a model, as that was trained."""
    common = {item.name: getattr(model.config, item.name) for item in fields(RunConfig)}
    return ScoringConfig(
        **common
        | {
            "data": str(data),
            "parties": parties,
            "tracking_uri": uri,
            "study": new_study_name(model.name.replace("/", "-")),
        },
        model=model.name,
        model_run=model.run_id,
        model_data=model.config.data,
        applicants=str(applicants.resolve()) if applicants else "",
        queued=applicants is None,
    )


def write_whole(table: pd.DataFrame, out: Path) -> None:
    """Write a table as CSV or Parquet, as the suffix of `out` says, without its index: the whole file or nothing.

    In CSV no text is a formula to a spreadsheet (`fl/escaping.py`).
    """
    with whole_file(out) as draft:
        if out.suffix == ".csv":
            draft.write_text(csv_text(table), "utf-8")
        else:
            table.to_parquet(draft, index=False)
