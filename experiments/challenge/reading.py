"""What a challenge compares, from the bank's own folder and store: answers, training PDs, cash flow and outcomes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from clients.aligned import read_applications, read_table, table_of
from clients.data.applicants import features_of
from clients.data.errors import DataError
from clients.data.files import open_table
from clients.data.values import canonical
from clients.parties import Party
from clients.session import state_folder
from clients.store import Store
from experiments.challenge.inference import Floats
from experiments.challenge.measures import Contestant, Texts
from experiments.dataset import only_holder, party_names
from experiments.joined import read_roles, read_scores
from experiments.lending.decisions import choose_cutoff
from experiments.lending.policy import CashFlow, Policy
from fl.config.run import TrainingConfig
from fl.errors import ConfigError
from fl.reserve import RESERVE
from fl.splits import TRAIN, VALIDATION
from server.tracking.registry import TrainedModel, find_model


@dataclass(frozen=True)
class Asked:
    """A model of a challenge, and how to score by it: the words for `score`, and the parties that are to be there.

    parties are empty for all of the training; without passive parties the reserve model answers.
    """

    contender: str
    seed: int
    config: TrainingConfig
    run: str
    parties: tuple[str, ...]

    @property
    def name(self) -> str:
        """STUDY/CONTENDER/SEED."""
        return f"{self.config.study}/{self.contender}/{self.seed}"


def find_pair(uri: str, champion: str, challenger: str, data: Path | None) -> tuple[Asked, Asked]:
    """Both models by what was typed; the champion may be the reserve model of the challenger's study.

    Raises ConfigError as `find_model` does, and for a challenger that is the champion.
    """
    second = find_model(uri, challenger)
    first = _reserve(second, champion, data) or _asked(find_model(uri, champion))
    if first.name == second.name:
        raise ConfigError(f"The champion and the challenger are the same model, {first.name}; name two.")
    return first, _asked(second)


def _asked(model: TrainedModel) -> Asked:
    return Asked(model.contender, model.seed, model.config, model.run_id, ())


def _reserve(model: TrainedModel, words: str, data: Path | None) -> Asked | None:
    """The reserve model of the study and seed of another model, if that is what the words name."""
    study, *names = words.split("/")
    if study != model.config.study or names[:1] != [RESERVE] or names[1:] not in ([], [str(model.seed)]):
        return None
    return Asked(RESERVE, model.seed, model.config, model.run_id, (holder_of(model.config, data),))


def holder_of(config: TrainingConfig, data: Path | None = None) -> str:
    """The folder of the label holder, in other data than those of the training if they are named."""
    folder = data.resolve() if data else config.data_folder
    names = party_names(folder, tuple(name for name in config.parties if (folder / name).is_dir()))
    return only_holder(folder, names)


def contestant(asked: Asked, answers: pd.DataFrame, policy: Policy, cash_flow: CashFlow) -> Contestant:
    """A model with its answers (n,), its PDs of the training rows, and its own cut-off by the validation rows."""
    holder = holder_of(asked.config)
    roles = read_roles(asked.config, holder, asked.seed)
    pds = read_scores(asked.config, holder, asked.contender, asked.seed).pd
    study = Store(state_folder(asked.config, asked.config.data_folder / holder) / asked.config.study)
    rows = roles == VALIDATION
    flow = cash_flow.of(read_table(study))[rows]
    return Contestant(
        name=asked.name,
        pd=answers["pd"].to_numpy(np.float64),
        reasons=_reasons(answers),
        training=pds[roles == TRAIN],
        policy=choose_cutoff(read_applications(study).labels[rows], pds[rows], flow, policy),
    )


def _reasons(answers: pd.DataFrame) -> Texts:
    """The reasons in answers (n, r): their texts if there are any, else their codes."""
    for prefix in ("text", "reason"):
        columns = [name for number in range(1, 5) if (name := f"{prefix}_{number}") in answers]
        if columns:
            return answers[columns].fillna("").to_numpy().astype(np.str_)
    return np.empty((len(answers), 0), np.str_)


def read_cash_flow(party: Party, applicants: Path, cash_flow: CashFlow) -> Floats:
    """Mean monthly cash flow (n,) in CNY of the applicants of a file, from the bank's records."""
    frame = features_of(party, applicants).drop(columns=party.declaration.id)
    return cash_flow.of(table_of(frame, np.ones(len(frame), bool), party.declaration.columns))


def read_outcomes(party: Party, applicants: Path, outcomes: str) -> Floats:
    """How the applicants of a file turned out, (n,) in its order: 1 a bad, 0 a good, NaN where nothing is known.

    outcomes is a column of that file, or the path of another file with the bank's id and the column of its label; a
    cell may be empty, and an applicant may have no row there. Raises DataError for what is no outcome.
    """
    declared = party.declaration
    path, column = Path(outcomes), declared.label or ""
    if not path.is_file():
        path, column = applicants, outcomes
    file = open_table(path, declared.format)
    table = file.read({declared.id: "id", column: "text"}, unique_id=True)
    ids = open_table(applicants, declared.format).read({declared.id: "id"})[declared.id]
    told = table[column].dropna().map(canonical)
    bad, strays = _meaning(told, declared.bad)
    if len(strays):
        raise DataError.at(
            path,
            "an outcome is 0 (repaid), 1 (default) or empty; other values need bad in the bank's party.toml.",
            row=file.row_name(int(strays[0])),
            column=column,
        )
    return (told == bad).astype(float).set_axis(table[declared.id][told.index]).reindex(ids).to_numpy()


def _meaning(told: "pd.Series[str]", bad: str | float | None) -> tuple[str, pd.Index]:
    """What a bad is written as, and the rows of what can be no outcome."""
    if bad is None:
        allowed = [canonical(0), canonical(1)]
    else:
        goods = (value for value in told.unique() if value != canonical(bad))
        allowed = [canonical(bad), next(goods, canonical(bad))]
    return canonical(1 if bad is None else bad), told.index[~told.isin(allowed)]
