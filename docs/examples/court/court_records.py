"""Stands in for a real court: makes up the records that one would have of the businesses of a generated dataset.

`court-records data/four` reads the latent state in `truth/`, which no party may do, and writes `court/` beside the
other parties. A strained or badly managed business is taken to court more often, by private lenders too, whom no other
party sees, and pays less of what it was ordered to pay. Who defaults later is not looked at.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

MONTHS_BEFORE, MONTHS_AFTER = 24, 3
"""The registry reaches beyond the month of the application: a party type must not look."""
TRADE_DISPUTES, LOAN_DISPUTES = 0.008, 0.002
"""Judgments a month against an average business in good order, and for each month of sales owed to private lenders."""


def main() -> None:
    """Write the court's folder of a dataset."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path, help="folder that `siloscore generate` made")
    parser.add_argument("--seed", type=int, default=1, help="equal seeds give equal records")
    arguments = parser.parse_args()
    truth = pd.read_parquet(arguments.dataset / "truth" / "applicants.parquet")
    judgments, enforcements = court_records(truth, np.random.default_rng(arguments.seed))
    folder = arguments.dataset / "court"
    folder.mkdir()
    judgments.to_parquet(folder / "judgments.parquet", index=False)
    enforcements.to_parquet(folder / "enforcements.parquet", index=False)
    print(f"{folder}: {len(judgments):,} judgments against {judgments['business_id'].nunique():,} businesses")


def court_records(truth: pd.DataFrame, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Judgments and enforcements, a row for each case."""
    lags = np.arange(-MONTHS_AFTER, MONTHS_BEFORE)
    # The strain that is seen in the month of the application has built up during the last half year.
    strain = truth["stretch"].to_numpy()[:, None] * np.exp(-np.abs(lags) / 6)
    quality, lent = (truth[name].to_numpy()[:, None] for name in ("quality", "informal_debt"))
    rates = (TRADE_DISPUTES * np.exp(8 * strain - 0.6 * quality), lent * (LOAN_DISPUTES + 0.3 * strain))
    cases = rng.poisson(rates)  # (kinds of dispute, businesses, months)
    loan_dispute, row, column = np.repeat(np.argwhere(cases), cases[cases > 0], axis=0).T
    month = truth["observation_month"].to_numpy().astype("datetime64[M]")[row] - lags[column]
    amount = np.round(truth["scale"].to_numpy()[row] * 0.3 * np.exp(rng.standard_normal(len(row))))
    judgments = pd.DataFrame(
        {
            "business_id": truth["business_id"].to_numpy()[row],
            "month": month.astype("datetime64[s]"),
            "amount": amount,
            "loan_dispute": loan_dispute.astype(float),
        }
    )
    unpaid = rng.random(len(row)) < 0.2 + 0.6 * strain[row, column]
    delay = rng.integers(2, 7, len(row))
    enforcements = judgments.loc[unpaid, ["business_id"]].assign(
        month=(month + delay)[unpaid].astype("datetime64[s]"),
        outstanding=np.round(amount * rng.uniform(0.3, 1.0, len(row)))[unpaid],
    )
    return judgments, enforcements


if __name__ == "__main__":
    main()
