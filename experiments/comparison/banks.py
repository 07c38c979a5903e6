"""Several banks, each on its own test rows: how good a contender is there, on the mean, at the worst, and who loses.

A bank loses by a contender when the AUC on its test rows is below that of the model which it could have without the
other banks: the one of the bank with its partners, where the contender has the partners' columns too, or of the bank
alone.
"""

from collections.abc import Collection

import numpy as np
import pandas as pd

from experiments.comparison.result import Result
from experiments.comparison.summary import Columns, is_usable, number, p_value_text, written
from fl.metrics import delong_test

MEASURES = ("auc", "auc_low", "auc_high", "gini", "ks", "brier", "calibration_error")
_SHARED = ("federated", "banks", "hybrid", "pooled-banks", "pooled-hybrid", "pooled")
"""Who learns more than a bank alone does."""
_WITH_PARTNERS = ("hybrid", "pooled-hybrid", "pooled")


METRICS = ("auc", "auc_bank_mean", "auc_bank_worst", "uplift_auc", "brier", "seconds")
"""What the leaderboard shows of each contender of several banks."""
LOSERS = "Banks with a lower AUC than by their own model"
NOBODY_LOSES = "No bank has a lower AUC than by its own model."
_TITLES = {
    "auc": "AUC on each bank's own test rows",
    "expected_auc": "Expected AUC of each bank's test rows under the true PD",
}


def rival_of(contender: str, contenders: Collection[str]) -> str:
    """The contender by which a bank would go without the other banks; empty where there is none to compare with.

    >>> rival_of("hybrid-boosting", ["bank-only-boosting", "federated-boosting", "hybrid-boosting"])
    'federated-boosting'
    >>> rival_of("banks-boosting", ["bank-only-boosting", "federated-boosting", "banks-boosting"])
    'bank-only-boosting'
    """
    owner, _, algorithm = contender.rpartition("-")
    owners = ("federated", "bank-only") if owner in _WITH_PARTNERS else ("bank-only",)
    rivals = [f"{other}-{algorithm}" for other in owners] if owner in _SHARED else []
    return next((name for name in rivals if name in contenders), "")


def compare_banks(results: list[Result]) -> pd.DataFrame:
    """One row per contender and bank, in the order of `results`; empty where one bank has all rows.

    The columns are contender, bank, those of `MEASURES`, expected_auc (under the true PDs), rival (`rival_of`), and
    gain, gain_low, gain_high and p_value of the AUC against it (paired DeLong test), expected_gain too. Figures are
    means over the seeds, the p-value a median; NaN where there is nothing to compare with.
    """
    by_key = {(one.contender, one.seed, one.bank): one for one in results if one.bank}
    names = {contender for contender, _, _ in by_key}
    rows = []
    for (contender, seed, bank), result in by_key.items():
        rival = by_key.get((rival_of(contender, names), seed, bank))
        rows.append({"contender": contender, "bank": bank, **_row(result, rival)})
    columns = ["contender", "bank", *MEASURES, "expected_auc", "rival", *_AGAINST]
    grouped = pd.DataFrame(rows, columns=columns).groupby(["contender", "bank", "rival"], sort=False)
    means = grouped.mean().assign(p_value=grouped["p_value"].median())
    return means.reset_index()[columns]


def spread(of_banks: pd.DataFrame, measure: str = "auc") -> pd.DataFrame:
    """By contender the mean over the banks, and the lowest with its bank: columns mean, worst and worst_bank."""
    table = of_banks.pivot(index="contender", columns="bank", values=measure)
    worst = table.dropna(how="all").idxmin(axis=1)
    return pd.DataFrame({"mean": table.mean(axis=1), "worst": table.min(axis=1), "worst_bank": worst})


def losers(of_banks: pd.DataFrame) -> pd.DataFrame:
    """The rows in which a bank has a lower AUC than by its rival, of contenders that can be used."""
    usable = of_banks["contender"].map(is_usable).astype(bool)
    return of_banks[usable & (of_banks["gain"] < 0)]


def written_banks(of_banks: pd.DataFrame, measure: str = "auc") -> pd.DataFrame:
    """A measure as texts: a row per contender, with the mean over the banks, the worst, and every bank."""
    banks, contenders = (list(dict.fromkeys(of_banks[key])) for key in ("bank", "contender"))
    table = of_banks.pivot(index="contender", columns="bank", values=measure).loc[contenders]
    ends = spread(of_banks, measure).loc[contenders]
    figures = pd.DataFrame(
        {"Mean": ends["mean"], "Worst": ends["worst"], **{bank: table[bank] for bank in banks}}
    )
    texts = figures.map(number(3), na_action="ignore").astype(object).fillna("–")
    return texts.reset_index(names="")


def known_measures(of_banks: pd.DataFrame) -> dict[str, str]:
    """The measures of the tables and figures of banks with their titles: those that are known."""
    known = of_banks["expected_auc"].notna().any()
    return _TITLES if known else {"auc": _TITLES["auc"]}


def described(of_banks: pd.DataFrame) -> list[str | pd.DataFrame]:
    """The tables of each bank with their titles, and who loses."""
    told: list[str | pd.DataFrame] = []
    for measure, title in known_measures(of_banks).items():
        told += [f"**{title}**", written_banks(of_banks, measure).rename(columns={"": "Contender"})]
    lost = written_losers(of_banks)
    return told + ([NOBODY_LOSES] if lost.empty else [f"**{LOSERS}**", lost])


def written_losers(of_banks: pd.DataFrame) -> pd.DataFrame:
    """Who loses, by which contender and against which model, as texts."""
    return written(losers(of_banks), _LOSERS)


def _row(result: Result, rival: Result | None) -> dict[str, object]:
    row: dict[str, object] = {name: result.evaluation.metrics[name] for name in MEASURES}
    row |= {"expected_auc": result.expected_auc, "rival": "", **dict.fromkeys(_AGAINST, np.nan)}
    if rival is not None:
        test = delong_test(result.labels, result.pd, rival.pd)
        against = (
            test.difference,
            test.low,
            test.high,
            test.p_value,
            result.expected_auc - rival.expected_auc,
        )
        row |= {"rival": rival.contender, **dict(zip(_AGAINST, against, strict=True))}
    return row


_AGAINST = ("gain", "gain_low", "gain_high", "p_value", "expected_gain")
_LOSERS: Columns = {
    "bank": ("Bank", str),
    "contender": ("loses by", str),
    "rival": ("against", str),
    "gain": ("AUC", number(3, "+")),
    "p_value": ("p", p_value_text),
}
