"""Runs the cases of the benchmark, one study each, and writes their rows and columns for other frameworks."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from experiments.frozen_benchmark.cases import (
    BUSINESSES,
    CREDIT_CARDS,
    Case,
    check_frozen,
    digests,
    frozen_rows,
)
from experiments.frozen_benchmark.lines import make_line
from experiments.frozen_benchmark.results import Benchmark, CaseResults
from experiments.study import FinishedStudy, run_unkept
from fl.config.run import TrainingConfig
from fl.splits import TEST
from server.progress import Progress, Report

_SETTINGS = {"boosting.encryption": "plain", "scorecard.encryption": "plain"}
"""Models are the same with and without encryption."""


def run_benchmark(
    cases: Sequence[Case],
    contenders: tuple[str, ...],
    businesses: int,
    credit: Path | None,
    tables: Path | None,
    report: Report,
) -> Benchmark:
    """Train the contenders on every case; with a folder `tables`, also `write_tables` of every case there.

    Raises ConfigError when data or rows are not the frozen ones, and StudyError when a contender fails.
    """
    frozen = businesses == BUSINESSES
    results = []
    for case in cases:
        report(Progress(f"Opening {case.name}", case.seeds[0]))
        study, measured = _studied(case, contenders, businesses, credit, report)
        if frozen or case.set == CREDIT_CARDS:
            check_frozen(case.name, measured)
        if tables:
            write_tables(study, tables / case.name)
        results.append(_results(case, study, measured))
    return Benchmark(
        version=1, siloscore=version("siloscore"), frozen=frozen, businesses=businesses, cases=results
    )


def write_tables(study: FinishedStudy, folder: Path) -> None:
    """Write `rows.csv`, which are the `frozen_rows`, and for each party a Parquet file of the rows that it knows."""
    folder.mkdir(parents=True, exist_ok=True)
    frozen_rows(study).to_csv(folder / "rows.csv", index=False)
    joined = study.joined
    everything = joined.frame().assign(id=joined.applications.ids)
    for party in joined.tables:
        columns = [name for name in everything if name.startswith(f"{party}.")]
        known = joined.coverage.get(party, np.ones(len(everything), bool))
        table = everything.loc[known, ["id", *columns]].sort_values("id")
        table.rename(columns=lambda name, party=party: name.removeprefix(f"{party}.")).to_parquet(
            folder / f"{party}.parquet", index=False
        )


def _studied(
    case: Case, contenders: tuple[str, ...], businesses: int, credit: Path | None, report: Report
) -> tuple[FinishedStudy, dict[str, str]]:
    """The study of a case, and the digests of its data and rows."""
    config = replace(TrainingConfig.from_mapping(_SETTINGS), seeds=case.seeds, test_ids=case.test_ids(credit))
    with case.open(businesses, credit) as dataset:
        study = run_unkept(dataset, config, contenders, report)
        return study, digests(dataset, study)


def _results(case: Case, study: FinishedStudy, measured: dict[str, str]) -> CaseResults:
    ids, labels = study.joined.applications.ids, study.joined.labels
    # Every seed has the same test rows.
    rows = np.flatnonzero(study.roles[case.seeds[0]] == TEST)
    rows = rows[np.argsort(ids[rows])]
    costs = {(one.contender, one.seed): one.costs for one in study.results}
    return CaseResults(
        name=case.name,
        set=case.set,
        digests=measured,
        ids=ids[rows].tolist(),
        labels=labels[rows].tolist(),
        lines=[make_line(*key, labels[rows], pd[rows], costs[key]) for key, pd in study.pds.items()],
    )
