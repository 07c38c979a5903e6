"""`siloscore challenge`: from what was typed to answers, a page, and recalibrations."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from clients.parties import open_party
from experiments.challenge import Inference
from experiments.challenge.inference import Sample, infer
from experiments.challenge.measures import SIDES, Pair
from experiments.challenge.page import compose, draw, findings
from experiments.challenge.reading import (
    contestant,
    find_pair,
    holder_of,
    read_cash_flow,
    read_outcomes,
)
from experiments.challenge.recalibration import Recalibration, answered_by, log_odds
from experiments.lending.policy import DEFAULT, read_policy
from experiments.outputs import check_folder
from experiments.scoring import score_applicants, write_whole
from fl.errors import ConfigError
from server.progress import Report
from server.tracking.pages import write_page


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """What to compare, as the options of the command say it.

    uri of the MLflow store; champion and challenger as `siloscore score --run` names models; command as it was typed.
    """

    uri: str
    champion: str
    challenger: str
    applicants: Path
    out: Path
    outcomes: str
    recalibrate: bool
    inference: Inference
    factor: float
    policy: Path | None
    data: Path | None
    backend: str
    command: str


def compare_models(asked: Challenge, report: Report) -> list[str]:
    """Score the applicants by both models, compare them, and write all of it to a folder; returns the findings.

    The folder gets `challenge.html` and `.md`, the answers of either model (`champion.csv`, `challenger.csv`), and
    where that is asked for a recalibration of each (`champion.toml`, `challenger.toml`). Raises ConfigError and
    DataError for what a person can mend, the most likely before anything is scored.
    """
    if not asked.outcomes and (asked.recalibrate or asked.inference is not Inference.none):
        raise ConfigError("Recalibration and reject inference go by outcomes; name them by --outcomes.")
    if not asked.applicants.is_file():
        raise ConfigError(f"There is no file of applicants {asked.applicants}.")
    check_folder(asked.out, "The challenge")
    policy, flow = read_policy(asked.policy or DEFAULT)
    models = find_pair(asked.uri, asked.champion, asked.challenger, asked.data)
    config = models[1].config
    folder = asked.data.resolve() if asked.data else config.data_folder
    # Without labels: those of the applicants may not be known yet.
    bank = open_party(folder / holder_of(config, asked.data), labelled=False)
    cash_flow = read_cash_flow(bank, asked.applicants, flow)
    outcomes = np.full(len(cash_flow), np.nan)
    if asked.outcomes:
        outcomes = read_outcomes(bank, asked.applicants, asked.outcomes)
    asked.out.mkdir(parents=True, exist_ok=True)
    answers = {}
    for side, model in zip(SIDES, models, strict=True):
        file = asked.out / f"{side}.csv"
        score_applicants(
            *(asked.uri, model.run, asked.applicants, file, asked.data, model.parties, asked.backend, report)
        )
        answers[side] = pd.read_csv(file, dtype={bank.declaration.id: str}, keep_default_na=False)
    both = zip(models, answers.values(), strict=True)
    champion, challenger = (contestant(model, of_model, policy, flow) for model, of_model in both)
    pair = Pair(champion=champion, challenger=challenger, cash_flow=cash_flow, outcomes=outcomes)
    log_odds_of_both = (log_odds(model.pd) for model in pair.both)
    sample = infer(outcomes, *log_odds_of_both, asked.inference, asked.factor) if asked.outcomes else None
    recalibrations = _recalibrated(pair, sample, answers, asked) if sample and asked.recalibrate else []
    parts = compose(
        pair,
        {side: Counter(of_model["model"]) for side, of_model in answers.items()},
        sample if asked.inference is not Inference.none else None,
        asked.inference,
        recalibrations,
        asked.command,
    )
    write_page(asked.out, "challenge", parts, draw(pair))
    return findings(pair)


def _recalibrated(
    pair: Pair, sample: Sample, answers: Mapping[str, pd.DataFrame], asked: Challenge
) -> list[Recalibration]:
    """Recalibrate both models, and write that and the answers with it. ConfigError if they have not answered."""
    recalibrations = []
    for side, model in zip(SIDES, pair.both, strict=True):
        if not answered_by(answers[side], model.name).all():
            raise ConfigError(
                f"{model.name} cannot be recalibrated: another model has answered for some applicants, because a party "
                "is absent."
            )
        fitted = sample.recalibrate(log_odds(model.pd))
        recalibration = Recalibration(
            model=model.name,
            slope=fitted.slope,
            intercept=fitted.intercept,
            outcomes=int(pair.known.sum()),
            reject_inference=asked.inference,
            factor=asked.factor,
        )
        recalibration.write(asked.out / f"{side}.toml")
        write_whole(recalibration.apply(answers[side]), asked.out / f"{side}.csv")
        recalibrations.append(recalibration)
    return recalibrations
