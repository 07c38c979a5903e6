"""`siloscore challenge`: from what was typed to answers, a page, and recalibrations."""

from pathlib import Path

import pandas as pd

from experiments.challenge import Inference
from experiments.challenge.inference import Sample, infer
from experiments.challenge.measures import SIDES, Pair
from experiments.challenge.page import compose, draw, findings
from experiments.challenge.reading import (
    contestant,
    find_pair,
    holder_of,
    open_bank,
    read_cash_flow,
    read_outcomes,
)
from experiments.challenge.recalibration import Recalibration, log_odds
from experiments.lending.policy import DEFAULT, read_policy
from experiments.outputs import check_folder
from experiments.scoring import score_applicants, write_whole
from fl.errors import ConfigError
from server.progress import Report
from server.tracking.pages import write_page


def challenge_champion(
    uri: str,
    models: tuple[str, str],
    applicants: Path,
    out: Path,
    outcomes: str,
    data: Path | None,
    policy: Path | None,
    inference: Inference,
    factor: float,
    recalibrate: bool,
    backend: str,
    command: str,
    report: Report,
) -> list[str]:
    """Score the applicants by both models, compare them, and write all of it to a folder; returns the findings.

    models are champion and challenger, as `siloscore score --run` names them; the other arguments are the options of
    the command. The folder gets `challenge.html` and `.md`, the answers of either model (`champion.csv`,
    `challenger.csv`), and with recalibrate a calibration of each (`champion.toml`, `challenger.toml`). Raises
    ConfigError and DataError for what a person can mend.
    """
    if not outcomes and (recalibrate or inference is not Inference.none):
        raise ConfigError("Recalibration and reject inference go by outcomes; name them by --outcomes.")
    if not applicants.is_file():
        raise ConfigError(f"There is no file of applicants {applicants}.")
    check_folder(out, "The challenge")
    rules, flow = read_policy(policy or DEFAULT)
    pair_asked = find_pair(uri, *models, data)
    holder = (data.resolve() if data else pair_asked[1].config.data_folder) / holder_of(
        pair_asked[1].config, data
    )
    bank = open_bank(holder)
    cash_flow = read_cash_flow(bank, applicants, flow)
    told = read_outcomes(bank, applicants, outcomes) if outcomes else cash_flow * float("nan")
    out.mkdir(parents=True, exist_ok=True)
    answers = {}
    for side, asked in zip(SIDES, pair_asked, strict=True):
        file = out / f"{side}.csv"
        score_applicants(uri, asked.run, applicants, file, data, asked.parties, backend, report)
        answers[side] = pd.read_csv(file, dtype={bank.declaration.id: str}, keep_default_na=False)
    champion, challenger = (
        contestant(asked, of_model, rules, flow)
        for asked, of_model in zip(pair_asked, answers.values(), strict=True)
    )
    pair = Pair(champion=champion, challenger=challenger, cash_flow=cash_flow, outcomes=told)
    sample = _sample(pair, inference, factor) if outcomes else None
    recalibrations = []
    if recalibrate and sample is not None:
        for side, model in zip(SIDES, pair.both, strict=True):
            recalibration = Recalibration.fit(
                model.name, model.pd, sample, int(pair.known.sum()), inference, factor
            )
            recalibration.write(out / f"{side}.toml")
            write_whole(recalibration.apply(answers[side]), out / f"{side}.csv")
            recalibrations.append(recalibration)
    answered = {side: dict(frame["model"].value_counts()) for side, frame in answers.items()}
    inferred = None if inference is Inference.none else sample
    parts = compose(pair, answered, inferred, inference, recalibrations, command)
    write_page(out, "challenge", parts, draw(pair))
    return findings(pair)


def _sample(pair: Pair, inference: Inference, factor: float) -> Sample:
    """What stands for all applicants: bands by the model in use, and the risk of a declined one by both models."""
    champion, challenger = (log_odds(model.pd) for model in pair.both)
    risk = champion if inference is Inference.augmentation else (champion + challenger) / 2
    return infer(pair.outcomes, risk, inference, factor)
