"""The label holder's last step in every conversation that trains: keep each row's PD, and tell how good they are."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_applications, read_coverage, read_table
from clients.data.declaration import COVERAGE
from clients.reserve import with_reserve
from clients.scores import Scores
from clients.session import Session
from fl.evaluation import Columns, Scored
from fl.evaluation.measures import evaluate
from fl.splits import TEST


def keep_scores(
    session: Session,
    log_odds: NDArray[np.float64],
    roles: NDArray[np.int8],
    tables: Mapping[str, Columns] | None = None,
    answers_all: bool = False,
) -> Scored:
    """Keep the PD of every position and evaluate those of the test rows, also by segment and by coverage.

    log_odds (n,) are those of default. tables are the conversation's own, by name, to go with the evaluation. The
    reserve model has a say on rows that no passive party knows, as in scoring (`clients/scoring.py`), unless the
    conversation's model answers for all.
    """
    study = session.aligned
    coverage, scores = read_coverage(study), Scores(log_odds=log_odds, unmixed=log_odds)
    if coverage and not answers_all:
        table, config = read_table(study), session.config
        mixed = with_reserve(study, session.envelope.seed, log_odds, coverage, table, config)
        scores = replace(scores, log_odds=mixed)
    session.store.keep(scores)
    applications, test = read_applications(study), roles == TEST
    segments = {name: texts[test] for name, texts in applications.segments.items()}
    segments[COVERAGE] = coverage_names(coverage, len(log_odds))[test]
    evaluation = evaluate(applications.labels[test], scores.pd[test], segments)
    return Scored(replace(evaluation, tables={**evaluation.tables, **(tables or {})}))


def coverage_names(coverage: Mapping[str, NDArray[np.bool_]], rows: int) -> NDArray[np.str_]:
    """Which passive parties know each row, as text such as `tax` or `tax, court` or `none`."""
    names = np.full(rows, "", dtype=object)
    for party, known in coverage.items():
        names[known] += np.where(names[known] == "", party, ", " + party).astype(object)
    return np.where(names == "", "none", names).astype(np.str_)
