"""Digests of what files say."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthetic_data.digests import changed_files, content_digest, digests

TABLE = pd.DataFrame(
    {
        "business_id": ["甲", "b", "c"],
        "month": pd.to_datetime(["2023-01-01", "2023-02-01", "2023-03-01"]).astype("datetime64[s]"),
        "inflow": pd.array([1.5, 2.0, 0.0], dtype="float32"),
        "count": pd.array([1, 2, 3], dtype="int16"),
    }
)


def digest(table: pd.DataFrame, path: Path, **options: object) -> str:
    table.to_parquet(path, index=False, **options)
    return content_digest(path)


def test_a_digest_is_the_same_however_a_file_is_written(tmp_path: Path) -> None:
    # The published digests are of this form, which must not change by accident.
    expected = "90b484de0be0e130bd68edc62eed63e4b58102c506b2c6317b3fac48337f3bb6"
    path = tmp_path / "a.parquet"
    assert digest(TABLE, path) == expected
    assert digest(TABLE, path, compression="gzip", row_group_size=1) == expected
    text = pa.Table.from_pandas(TABLE).cast(
        pa.schema(
            [
                ("business_id", pa.string()),
                ("month", pa.timestamp("ms")),
                ("inflow", pa.float32()),
                ("count", pa.int16()),
            ]
        )
    )
    pq.write_table(text, path)
    assert content_digest(path) == expected
    assert len(digest(TABLE.iloc[:0], path)) == len(expected)


@pytest.mark.parametrize(
    "changed",
    [
        TABLE.iloc[::-1],
        TABLE.iloc[:-1],
        TABLE[TABLE.columns[::-1]],
        TABLE.rename(columns={"inflow": "outflow"}),
        TABLE.astype({"count": "int32"}),
        TABLE.replace({"business_id": {"b": "B"}}),
        TABLE.replace({"inflow": {2.0: 2.0000002}}),
    ],
    ids=["order", "rows", "columns", "name", "type", "text", "number"],
)
def test_a_digest_changes_with_the_content(changed: pd.DataFrame, tmp_path: Path) -> None:
    assert digest(changed, tmp_path / "a.parquet") != digest(TABLE, tmp_path / "b.parquet")


def test_changed_damaged_and_missing_files_are_named(tmp_path: Path) -> None:
    for name in ("same", "other", "damaged", "missing"):
        TABLE.to_parquet(tmp_path / f"{name}.parquet")
    expected = digests(tmp_path)
    TABLE.iloc[1:].to_parquet(tmp_path / "other.parquet")
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1")
    (tmp_path / "missing.parquet").unlink()
    assert changed_files(tmp_path, expected) == ("damaged.parquet", "missing.parquet", "other.parquet")
