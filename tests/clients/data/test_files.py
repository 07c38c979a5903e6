"""A table is read exactly or not at all, and whoever keeps the file is told the line to look at."""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.data.errors import DataError
from clients.data.files import open_table
from clients.data.format import MISSING
from clients.data.table_file import Kind

KINDS: dict[str, Kind] = {
    "id": "id",
    "default": "binary",
    "month": "month",
    "age": "number",
    "region": "text",
}
ROWS = """\
id,default,month,age,region,remark
007,0,2024-01,3.5,north,"a ""quoted"" remark
of two lines"
008,1,2024-02-01,,south,

009,0,2024-02,NA,NA,none
"""


def table(folder: Path, content: str | bytes) -> Path:
    path = folder / "x.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def parquet(folder: Path, columns: dict[str, list[object]]) -> Path:
    path = folder / "x.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def read_error(path: Path, kinds: dict[str, Kind], unique_id: bool = False) -> str:
    """What is said about the file, without its folder."""
    with pytest.raises(DataError) as caught:
        open_table(path).read(kinds, unique_id)
    return str(caught.value).replace(f"{path.parent}/", "")


def test_the_columns_asked_for_are_read_in_that_order_and_in_their_dtypes(tmp_path: Path) -> None:
    frame = open_table(table(tmp_path, ROWS)).read(KINDS, unique_id=True)

    assert list(frame) == list(KINDS)
    assert frame["id"].tolist() == ["007", "008", "009"]
    assert frame["default"].dtype == np.int8
    assert frame["month"].tolist() == [
        pd.Timestamp(2024, 1, 1),
        pd.Timestamp(2024, 2, 1),
        pd.Timestamp(2024, 2, 1),
    ]
    assert frame["month"].dtype == "datetime64[s]"
    assert frame["age"].dtype == np.float64
    assert frame["age"].isna().tolist() == [False, True, True]
    assert frame["region"].isna().tolist() == [False, False, True]


@pytest.mark.parametrize("word", MISSING)
def test_a_word_for_missing_means_that_in_a_column_of_any_kind(tmp_path: Path, word: str) -> None:
    frame = open_table(table(tmp_path, f"id,age,region\n1,-2.5,north\n2,{word},{word}\n")).read(
        {"id": "id", "age": "number", "region": "text"}
    )
    assert frame["age"].isna().tolist() == frame["region"].isna().tolist() == [False, True]
    missing_id = table(tmp_path, f"id,age\n1,2\n{word},3\n")
    assert read_error(missing_id, {"id": "id"}) == "x.csv, line 3, column 'id': the id is missing."


@pytest.mark.parametrize("order", [[1, 2, 3], [3, 1, 2]])
def test_ids_may_stand_in_any_order_but_only_once(tmp_path: Path, order: list[int]) -> None:
    rows = [f"B{number}" for number in order]
    frame = open_table(table(tmp_path, "\n".join(["id", *rows]))).read({"id": "id"}, unique_id=True)
    assert frame["id"].tolist() == rows
    for repeated in rows:
        twice = table(tmp_path, "\n".join(["id", *sorted([*rows, repeated])]))
        assert f"the id '{repeated}' stands twice" in read_error(twice, {"id": "id"}, unique_id=True)


def test_csv_and_parquet_of_the_same_table_read_the_same(tmp_path: Path) -> None:
    frame = open_table(table(tmp_path, ROWS)).read(KINDS)
    frame.to_parquet(tmp_path / "x.parquet")

    pd.testing.assert_frame_equal(open_table(tmp_path / "x.parquet").read(KINDS), frame)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_files_of_other_systems_are_read(tmp_path: Path, newline: str, mark: str) -> None:
    path = table(tmp_path, mark + newline.join(["id,age", "007,1", "008,2"]))

    assert open_table(path).read({"id": "id", "age": "number"})["id"].tolist() == ["007", "008"]


def test_columns_that_are_not_asked_for_may_hold_anything(tmp_path: Path) -> None:
    path = table(tmp_path, "id,age,x,x\n1,2,inf,a\n2,3,,b\n")

    assert open_table(path).read({"age": "number"})["age"].tolist() == [2.0, 3.0]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "x.csv is empty; it needs a header and at least one row."),
        ("\n\n", "x.csv is empty; it needs a header and at least one row."),
        ("id,age\n", "x.csv has a header but no rows."),
        ("id,Age\n1,2\n", "x.csv has no column 'age'. Did you mean 'Age'?"),
        (
            "id;age\n1;2\n",
            'x.csv seems to be separated by ";", not by ","; write separator = ";" in party.toml',
        ),
        ("id", "x.csv has a header but no rows."),
        ("id,age,age\n1,2,3\n", "x.csv has 2 columns called 'age'; rename all but one."),
        ("id,age\n1,2\n\n,3\n", "x.csv, line 4, column 'id': the id is missing."),
        ("id,age\n1,2\nNA,3\n", "x.csv, line 3, column 'id': the id is missing."),
        ("id,age\n 1,2\n", "x.csv, line 2, column 'id': the id ' 1' has spaces around it; remove them."),
        (
            'id,age\n"1",2\n"2","3\n4"\n',
            r"x.csv, line 3, column 'age': '3\n4' is not a number; write it like 1234.5",
        ),
        (
            "id,age\n1,2\n2,\n3,4k\n",
            "x.csv, line 4, column 'age': '4k' is not a number; write it like 1234.5",
        ),
        ("id,age\n1,2\n2,inf\n", "x.csv, line 3, column 'age': the value is infinite; leave the cell empty"),
        ("id,age\n1,2\n2\n", "x.csv, line 3: the row has 1 cells where the header has 2."),
        ("id,age\n1,2,3\n2,3\n", "x.csv, line 2: the row has 3 cells where the header has 2."),
        ('id,age\n1,2\n2,"3\n3,4\n4,5\n', "x.csv, line 3: the row is not valid CSV (unexpected end of data)"),
        (
            b"id,age\n1,2\n2,\xb0\n",
            "x.csv, line 3: byte 13 (0xb0) is not valid UTF-8; save the file as UTF-8.",
        ),
        ("id,age\n1,2\n".encode("utf-16"), "x.csv, line 1: byte 0 (0xff) is not valid UTF-8"),
        (b"id,age,remark\n1,2,\xe5\x8c", "x.csv, line 2: byte 18 (0xe5) is not valid UTF-8"),
    ],
)
def test_a_mistake_in_a_csv_file_is_located(tmp_path: Path, content: str | bytes, problem: str) -> None:
    assert read_error(table(tmp_path, content), {"id": "id", "age": "number"}).startswith(problem)


@pytest.mark.parametrize("kind", ["number", "text"])
def test_an_enormous_cell_of_a_csv_file_is_located(tmp_path: Path, kind: Kind) -> None:
    path = table(tmp_path, f"id,age\n1,2\n2,{'3' * 10**7}\n")

    assert read_error(path, {"id": "id", "age": kind}) == (
        "x.csv, line 3: a cell has more than 131,072 characters; shorten it, or close the quotation mark before it."
    )


def test_a_quotation_mark_may_come_first_where_much_has_been_read(tmp_path: Path) -> None:
    remarks = [*["plain"] * 200_000, "two\nlines", "last"]
    path = table(
        tmp_path,
        "id,remark\n"
        + "\n".join(
            f'{row},"{text}"' if row == 200_000 else f"{row},{text}" for row, text in enumerate(remarks)
        ),
    )

    assert open_table(path).read({"remark": "text"})["remark"].tolist() == remarks


def test_a_duplicate_id_is_located_by_both_lines(tmp_path: Path) -> None:
    path = table(tmp_path, 'id\n1\n"2"\n\n3\n2\n3\n')

    assert read_error(path, {"id": "id"}, unique_id=True) == (
        "x.csv, lines 3 and 6, column 'id': the id '2' stands twice; "
        "a business applies once per dataset, so keep one row."
    )


def test_an_id_may_repeat_where_it_need_not_be_unique(tmp_path: Path) -> None:
    assert len(open_table(table(tmp_path, "id\n1\n1\n")).read({"id": "id"})) == 2


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        (["1", "2 ", "3"], "x.parquet, row 2, column 'a': the id '2 ' has spaces around it; remove them."),
        (["1", None, "3"], "x.parquet, row 2, column 'a': the id is missing."),
        (
            ["a", "b", "A"],
            "x.parquet, rows 1 and 3, column 'a': the ids 'a' and 'A' differ only in letter case",
        ),
        (["a", "b" * 10**7], "x.parquet, row 2, column 'a': the cell has 10,000,000 characters"),
        ([1, 2, 1], "x.parquet, rows 1 and 3, column 'a': the id '1' stands twice"),
        ([1.0, 2.0], "x.parquet, column 'a': the column holds values of type double; store ids as texts"),
        ([], "x.parquet has a header but no rows."),
    ],
)
def test_a_mistake_in_a_parquet_file_is_located(tmp_path: Path, cells: list[object], problem: str) -> None:
    assert read_error(parquet(tmp_path, {"a": cells}), {"a": "id"}, unique_id=True).startswith(problem)


def test_a_column_of_a_name_with_dots_is_read(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"a.b": [1.0], "a": [2.0]})

    assert open_table(path).read({"a": "number"}).to_dict("list") == {"a": [2.0]}
    assert open_table(path).read({"a.b": "number"}).to_dict("list") == {"a.b": [1.0]}


@pytest.mark.parametrize("kept", [0, 3, 0.5, -1])
def test_a_truncated_parquet_file_is_called_so_in_one_sentence(tmp_path: Path, kept: float) -> None:
    path = parquet(tmp_path, {"id": [str(i) for i in range(1000)]})
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if kept == 0.5 else int(kept)])

    message = read_error(path, {"id": "id"})

    assert message == "x.parquet is not a whole Parquet file; it may be truncated or of another format."


def test_a_damaged_parquet_page_is_called_so(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"id": [str(i) for i in range(1000)]})
    content = bytearray(path.read_bytes())
    content[4:200] = b"\xff" * 196
    path.write_bytes(content)

    assert "is not a whole Parquet file" in read_error(path, {"id": "id"})


def test_parquet_text_in_another_encoding_is_named(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"region": ["beijing", "shanghai"]})
    path.write_bytes(path.read_bytes().replace(b"beijing", b"\xb1\xb1\xbe\xa9bei"))

    assert read_error(path, {"region": "text"}).startswith(
        "x.parquet, column 'region': the column holds text that is"
    )


def test_a_missing_file_is_told_with_those_that_are_there(tmp_path: Path) -> None:
    table(tmp_path, ROWS)

    assert read_error(tmp_path / "y.csv", KINDS) == "y.csv does not exist; tables in its folder: 'x.csv'."
    assert read_error(tmp_path / "y.parquet", KINDS).startswith("y.parquet does not exist")


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    assert read_error(tmp_path / "x.xlsx", KINDS) == "x.xlsx: a table must be a .csv or a .parquet file."


@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
def test_a_file_that_cannot_be_opened_is_told_so(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()

    assert read_error(tmp_path / name, KINDS) == f"{name} cannot be read (Is a directory)."


def test_stray_cells_can_be_missing_or_returned(tmp_path: Path) -> None:
    cells = [*map(str, range(30)), "inf"]
    path = table(tmp_path, "id,a\n" + "".join(f"{cell},{cell}\n" for cell in cells))
    file = open_table(path)

    assert file.read({"a": "number"}, strays={"a": "missing"})["a"].isna().sum() == 1
    frame, strays = file.read_with_strays({"a": "number"})
    assert frame["a"].isna().tolist() == [False] * 30 + [True]
    assert file.row_name(strays["a"].rows[0]) == "line 32"
    assert read_error(path, {"a": "number"}).startswith("x.csv, line 32, column 'a': the value is infinite")


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
NUMBERS = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**12), 10**12)


@given(
    st.lists(st.tuples(CELLS.map(lambda s: f"({s})"), NUMBERS), min_size=1, max_size=30),
    st.sampled_from([0, 1]),
)
def test_what_a_csv_writer_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, float | None]], quoting: int
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=quoting).writerows([("name", "amount"), *rows])
    path = table(tmp_path_factory.getbasetemp(), text.getvalue())

    frame = open_table(path).read({"amount": "number", "name": "text"})

    assert frame["name"].tolist() == [name for name, _ in rows]
    np.testing.assert_array_equal(frame["amount"], [np.nan if x is None else float(x) for _, x in rows])


@settings(deadline=None)
@given(st.lists(CELLS, min_size=1, max_size=20), st.data())
def test_the_line_named_is_the_one_where_the_row_begins(
    tmp_path_factory: pytest.TempPathFactory, remarks: list[str], data: st.DataObject
) -> None:
    row = data.draw(st.integers(0, len(remarks) - 1))
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["remark", "amount"])
    for index, remark in enumerate(remarks):
        if index == row:
            line = len((text.getvalue() + "|").replace("\r\n", "\n").replace("\r", "\n").split("\n"))
        writer.writerow([remark, "wrong" if index == row else "1"])
    path = table(tmp_path_factory.getbasetemp(), text.getvalue())

    assert f"x.csv, line {line}, column 'amount': 'wrong'" in read_error(path, {"amount": "number"})


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nine rows in three row groups, of which batches hold two rows each."""
    monkeypatch.setattr("clients.data.parquet_file._ROWS_IN_BATCH", 2)
    ids, days = [f"b{row // 2}" for row in range(9)], pd.date_range("2024-01-01", periods=9, freq="31D")
    columns = {"id": ids, "month": days, "age": np.arange(9), "region": ["north", None, "south"] * 3}
    pd.DataFrame(columns).to_parquet(tmp_path / "x.parquet", row_group_size=3)
    return tmp_path / "x.parquet"


PARTS: dict[str, Kind] = {name: kind for name, kind in KINDS.items() if kind != "binary"}


@pytest.mark.parametrize("wanted", [None, [6, 2, 3], [0, 1], [8], []])
def test_the_parts_of_a_parquet_file_are_together_its_rows(records: Path, wanted: list[int] | None) -> None:
    file = open_table(records)
    parts = list(file.parts(PARTS, None if wanted is None else np.isin(np.arange(9), wanted)))

    whole = file.read(PARTS)
    expected = whole if wanted is None else whole.loc[sorted(wanted)]
    assert max(map(len, parts)) <= 2
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), expected.reset_index(drop=True))


def test_row_groups_without_a_wanted_row_are_not_read(records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups, read = [], pq.ParquetFile.iter_batches
    monkeypatch.setattr(
        pq.ParquetFile, "iter_batches", lambda *given: (groups.extend(given[2]), read(*given))[1]
    )
    list(open_table(records).parts(PARTS, np.arange(9) // 3 != 1))

    assert groups == [0, 2]


def test_a_mistake_in_a_later_part_is_located_in_the_file(tmp_path: Path, records: Path) -> None:
    frame = pd.read_parquet(records).astype({"age": float})
    for column, value, problem in (("age", np.inf, "infinite"), ("month", "2999-01-01", "in the future")):
        frame.assign(**{column: frame[column].where(frame.index != 7, value)}).to_parquet(records)

        with pytest.raises(DataError, match=f"row 8, column '{column}'.*{problem}"):
            list(open_table(records).parts(PARTS))


def test_texts_among_numbers_or_months_need_their_whole_column(records: Path, tmp_path: Path) -> None:
    assert open_table(records).has_parts(PARTS)
    for name in ("age", "month"):
        pd.read_parquet(records).astype({name: str}).to_parquet(tmp_path / "texts.parquet")
        assert not open_table(tmp_path / "texts.parquet").has_parts(PARTS)
