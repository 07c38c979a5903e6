"""The credit-card data as three banks with the same columns: alike, of unequal size, or by their customers' limits.

The folder of the credit cards holds `bank.csv` and `partner.csv`, whose columns each bank gets side by side, and the
assignment says which bank has which id; it is the horizontal cut that FATE ships. Each bank keeps a third of the rows
for testing, and the file `test_ids.csv` names them.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import typer

from clients.data.column import Column
from clients.data.declaration import Declaration, write_declaration
from experiments.settings import words

BANKS = ("bank_a", "bank_b", "bank_c")
_LEVELS = {
    "SEX": ("1", "2"),
    "EDUCATION": tuple("0123456"),
    "MARRIAGE": tuple("0123"),
}
"""The categorical columns with the levels that the data's description names."""


def cut(
    credit: Path,
    assignment: Path,
    out: Path,
    rows: str = "",
    by_limit: bool = False,
) -> None:
    """Write the banks' folders to a new folder.

    rows are how many rows of those that are not for testing each bank keeps, such as 8000,1000,300; by default all.
    With by_limit, the bank of an id follows from its credit limit instead: the lowest third at the last bank.
    """
    table = pd.read_csv(credit / "bank.csv").merge(pd.read_csv(credit / "partner.csv"), on="id")
    table = table.merge(pd.read_csv(assignment), on="id").sort_values("id", ignore_index=True)
    is_test = table["bank"].to_numpy() == "test"
    order = np.random.default_rng(1).permutation(len(table))
    banks = table.pop("bank").where(~is_test, pd.Series(np.array(BANKS)[order % 3]))
    if by_limit:
        ranks = table["LIMIT_BAL"].rank(method="first")
        banks = pd.Series(np.array(BANKS)[2 - ((ranks - 1) * 3 // len(table)).astype(int)])
    kept = [int(word) for word in words(rows)] or [len(table)] * len(BANKS)
    columns = tuple(
        Column(name, "categorical", levels=_LEVELS[name]) if name in _LEVELS else Column(name, "numeric")
        for name in table.columns.drop(["id", "default"])
    )
    for bank, most in zip(BANKS, kept, strict=True):
        (out / bank).mkdir(parents=True)
        of_bank = (banks == bank).to_numpy()
        training = order[(of_bank & ~is_test)[order]][:most]
        taken = np.sort(np.concatenate([training, np.flatnonzero(of_bank & is_test)]))
        table.iloc[taken].to_csv(out / bank / "table.csv", index=False)
        declared = Declaration("table", bank, file="table.csv", id="id", label="default", columns=columns)
        write_declaration(out / bank, declared)
    table.loc[is_test, "id"].to_csv(out / "test_ids.csv", index=False, header=False)


if __name__ == "__main__":
    typer.run(cut)
