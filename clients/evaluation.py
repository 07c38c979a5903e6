"""The active party's last step in every protocol: keep each row's PD for itself, and tell how good they are."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from clients.aligned import known_to_none, read_applications, read_coverage, read_table
from clients.data.declaration import COVERAGE
from clients.session import Session
from fl.evaluation import Table, evaluate
from fl.scoring import Scored
from fl.splits import TEST

SCORES = "scores"


def keep_scores(
    session: Session,
    log_odds: NDArray[np.float64],
    roles: NDArray[np.int8],
    tables: Mapping[str, Table] | None = None,
    answers_all: bool = False,
) -> Scored:
    """Store the PD of every position and evaluate those of the test rows, also by segment and by coverage.

    log_odds (n,) are those of default. tables are the protocol's own, by name, to go with the evaluation. Where there
    are passive parties, the bank's fallback for their absence is trained, too; it also has a say on rows that no
    passive party knows, as in scoring (`clients/scoring.py`), unless the protocol's model answers for all.
    """
    # Not above, since boosting, of which it is a part, needs this module.
    from clients.reserve import train_fallback, with_fallback

    coverage, seed = read_coverage(session.study), session.envelope.seed
    if coverage:
        train_fallback(session, seed, roles)
        if not answers_all:
            unknown, table = known_to_none(coverage, len(roles)), read_table(session.study)
            log_odds = with_fallback(session.study, seed, log_odds, unknown, table, session.config)
    pd = expit(log_odds)
    session.store.write(SCORES, {"pd": pd})
    applications, test = read_applications(session.study), roles == TEST
    segments = {name: texts[test] for name, texts in applications.segments.items()}
    segments[COVERAGE] = coverage_names(coverage, len(pd))[test]
    found = evaluate(applications.labels[test], pd[test], segments)
    return Scored(replace(found, tables=found.tables | dict(tables or {})).to_arrays())


def coverage_names(coverage: dict[str, NDArray[np.bool_]], rows: int) -> NDArray[np.str_]:
    """Which passive parties know each row, as text such as `tax` or `tax, court` or `none`."""
    names = np.full(rows, "", dtype=object)
    for party, known in coverage.items():
        names[known] += np.where(names[known] == "", party, ", " + party).astype(object)
    return np.where(names == "", "none", names).astype(np.str_)
