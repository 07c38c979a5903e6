"""A line of the frozen benchmark that is not ours: XGBoost on the pooled columns of all parties.

`python docs/examples/xgboost_line.py benchmark xgboost.csv` reads the folder that `siloscore benchmark --tables` has
written, and writes a submission.
"""

import sys
from pathlib import Path

import pandas as pd
from xgboost import XGBClassifier


def predictions(folder: Path) -> pd.DataFrame:
    """The PDs of the test rows of one case."""
    rows = pd.read_csv(folder / "rows.csv", dtype={"id": str})
    columns = rows[["id"]]
    for party in sorted(folder.glob("*.parquet")):
        columns = columns.merge(pd.read_parquet(party), how="left", on="id", suffixes=("", f"_{party.stem}"))
    columns = columns.drop(columns="id")
    is_test = rows["role"] == "test"
    model = XGBClassifier(
        n_estimators=200, max_depth=4, learning_rate=0.05, enable_categorical=True, random_state=1
    )
    model.fit(columns[~is_test], rows.loc[~is_test, "label"])
    pds = model.predict_proba(columns[is_test])[:, 1]
    return pd.DataFrame({"case": folder.name, "id": rows.loc[is_test, "id"], "pd": pds})


if __name__ == "__main__":
    tables, out = map(Path, sys.argv[1:])
    pd.concat(map(predictions, sorted(tables.iterdir()))).to_csv(out, index=False)
