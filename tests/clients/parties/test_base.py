"""What a party type gets for nothing: strict checks, no look ahead, answers in a fixed form."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from clients.data.column import Column
from clients.data.declaration import FILE_NAME, Declaration
from clients.data.errors import DataError
from clients.parties.base import Party


class Lender(Party):
    """A small type with all that a type can have."""

    type = "lender"
    columns = (
        Column("inflow_sum", "numeric"),
        Column("months_known", "numeric"),
        Column("sector", "categorical"),
    )
    tables: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "applications": ("business_id", "observation_month", "sector", "default"),
        "accounts": ("business_id", "month", "inflow", "branch"),
    }
    text = ("branch",)
    label = "default"
    month = "observation_month"
    segments = ("sector",)

    def features(self, records: Mapping[str, pd.DataFrame], as_of: pd.Series) -> pd.DataFrame:
        accounts = records["accounts"].groupby("business_id")["inflow"]
        return pd.DataFrame(
            {
                "sector": records["applications"].set_index("business_id")["sector"],
                "inflow_sum": accounts.sum(),
                "months_known": accounts.size(),
                "unasked": 0,
            }
        ).reindex(as_of.index)


APPLICATIONS = pd.DataFrame(
    {
        "business_id": ["03", "01"],
        "observation_month": pd.to_datetime(["2024-02-01", "2024-03-01"]).astype("datetime64[s]"),
        "sector": ["retail", None],
        "default": np.array([0, 1], dtype=np.int8),
    }
)
ACCOUNTS = pd.DataFrame(
    {
        "business_id": ["01", "01", "01", "02", "03", "03"],
        "month": pd.to_datetime(["2024-02", "2024-03", "2024-04", "2024-01", "2024-02", "2024-03"]),
        "inflow": [1, 2, 4, 8, 16, 32],
        "branch": ["a", "a", "a", "b", "b", None],
    }
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    APPLICATIONS.to_parquet(tmp_path / "applications.parquet")
    ACCOUNTS.to_csv(tmp_path / "accounts.csv", index=False)
    return tmp_path


def months(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[M]")


def opened(folder: Path, kind: type[Party] = Lender, **changes: object) -> Party:
    return kind(folder, replace(kind.default_declaration(folder), **changes))


def open_error(folder: Path, kind: type[Party] = Lender, **changes: object) -> str:
    with pytest.raises(DataError) as caught:
        opened(folder, kind, **changes)
    return str(caught.value).replace(f"{folder}/", "")


def test_the_default_declaration_offers_all_that_the_type_has(folder: Path) -> None:
    assert Lender.default_declaration(folder) == Declaration(
        type="lender",
        name=folder.name,
        label="default",
        month="observation_month",
        segments=("sector",),
        columns=Lender.columns,
    )


def test_the_ids_are_those_of_all_records(folder: Path) -> None:
    ids = opened(folder).ids()

    assert ids.tolist() == ["01", "02", "03"]
    assert ids.dtype.kind == "U"


def test_applications_have_label_month_and_segments_in_the_order_of_the_file(folder: Path) -> None:
    applications = opened(folder).applications()

    assert applications.index.tolist() == ["03", "01"]
    assert list(applications) == ["label", "month", "sector"]
    assert applications["label"].tolist() == [0, 1]
    assert applications["label"].dtype == np.int8
    assert applications["month"].dtype == "datetime64[s]"
    assert applications["month"].dt.month.tolist() == [2, 3]
    assert applications["sector"].cat.categories.tolist() == ["retail"]


def test_no_feature_is_computed_from_a_sensitive_column(folder: Path) -> None:
    columns = tuple(column for column in Lender.columns if column.name != "sector")
    party = opened(folder, segments=(), sensitive=("sector",), columns=columns)

    assert party.sensitive()["sector"].tolist() == ["retail", np.nan]
    assert party.sensitive().index.tolist() == party.applications().index.tolist() == ["03", "01"]
    assert "sector" not in party.applications()
    seen = party.records.visible(pd.Series(months("2024-03"), ["03"]), party.declaration.sensitive)
    assert seen["applications"]["sector"].isna().all()
    np.testing.assert_array_equal(party.matrix(np.array(["01"]), months("2024-03")), [[3, 2]])


def test_a_label_holder_without_months_has_applications_without_months(folder: Path) -> None:
    applications = opened(folder, month=None).applications()

    assert applications["month"].dtype == "datetime64[s]"
    assert applications["month"].isna().all()


def test_a_party_without_the_label_has_no_applications(folder: Path) -> None:
    party = opened(folder, label=None, month=None, segments=())

    assert "default" not in party.records.tables["applications"]
    with pytest.raises(DataError, match="does not hold the label"):
        party.applications()


def test_a_matrix_has_the_declared_columns_in_declared_order_and_dtypes(folder: Path) -> None:
    party = opened(folder, columns=(Lender.columns[2], Lender.columns[0]))

    matrix = party.matrix(np.array(["01", "03"]), months("2024-03", "2024-02"))

    assert list(matrix) == ["sector", "inflow_sum"]
    assert isinstance(matrix["sector"].dtype, pd.CategoricalDtype)
    assert matrix["sector"].tolist()[1] == "retail"
    assert matrix["inflow_sum"].dtype == np.float64


def test_features_never_see_a_month_after_the_observation_month(folder: Path) -> None:
    party = opened(folder)
    ids = np.array(["01", "03"])

    assert party.matrix(ids, months("2024-03", "2024-02"))["inflow_sum"].tolist() == [3.0, 16.0]
    assert party.matrix(ids, months("2024-02", "2024-03"))["inflow_sum"].tolist() == [1.0, 48.0]
    assert np.isnan(party.matrix(ids, months("2024-01", "2024-02"))["inflow_sum"].iloc[0])


def test_without_observation_months_features_see_all_months(folder: Path) -> None:
    assert opened(folder).matrix(np.array(["01"]))["inflow_sum"].tolist() == [7.0]
    assert opened(folder).matrix(np.array(["01"]), months("NaT"))["inflow_sum"].tolist() == [7.0]


def test_features_never_see_the_label_or_other_businesses(folder: Path) -> None:
    seen: dict[str, pd.DataFrame] = {}

    class Curious(Lender):
        def features(self, records: Mapping[str, pd.DataFrame], as_of: pd.Series) -> pd.DataFrame:
            seen.update(records)
            return super().features(records, as_of)

    opened(folder, Curious).matrix(np.array(["01"]), months("2024-03"))

    assert list(seen["applications"]) == ["business_id", "observation_month", "sector"]
    assert set(seen["accounts"]["business_id"]) == {"01"}


def test_a_matrix_keeps_the_order_asked_and_an_unknown_business_is_all_missing(folder: Path) -> None:
    ids = np.array(["03", "99", "01"])

    matrix = opened(folder).matrix(ids, months("2024-02", "2024-02", "2024-03"))

    assert matrix.index.tolist() == ids.tolist()
    assert matrix.loc["99"].isna().all()
    assert matrix["inflow_sum"].tolist()[::2] == [16.0, 3.0]


@pytest.mark.parametrize("ids", [np.array(["98", "99"]), np.array([], dtype=np.str_)])
def test_a_matrix_of_unknown_businesses_alone_has_its_columns_all_the_same(
    folder: Path, ids: np.ndarray
) -> None:
    matrix = opened(folder).matrix(ids, np.full(len(ids), "2024-02", dtype="datetime64[M]"))

    assert list(matrix) == ["inflow_sum", "months_known", "sector"]
    assert len(matrix) == len(ids)
    assert matrix.isna().all(axis=None)


def test_a_business_may_have_a_row_for_each_of_several_months(folder: Path) -> None:
    party = opened(folder)
    ids = np.array(["03", "01", "99", "01", "03", "01"])
    as_of = months("2024-03", "2024-02", "2024-02", "2024-01", "2024-02", "2024-03")

    matrix = party.matrix(ids, as_of)

    assert matrix.index.tolist() == ids.tolist()
    assert matrix["inflow_sum"].tolist()[3:] == pytest.approx([np.nan, 16.0, 3.0], nan_ok=True)
    for row in range(len(ids)):
        alone = party.matrix(ids[row : row + 1], as_of[row : row + 1])
        pd.testing.assert_frame_equal(
            matrix.iloc[[row]].astype({"sector": str}), alone.astype({"sector": str})
        )


def test_categories_of_several_months_are_those_of_all(folder: Path) -> None:
    class Branches(Lender):
        def features(self, records: Mapping[str, pd.DataFrame], as_of: pd.Series) -> pd.DataFrame:
            latest = records["accounts"].sort_values("month").groupby("business_id")["branch"].last()
            return super().features(records, as_of).assign(sector=latest.reindex(as_of.index))

    ACCOUNTS.assign(branch=["a", "b", "c", "d", None, "e"]).to_csv(folder / "accounts.csv", index=False)

    sectors = opened(folder, Branches).matrix(
        np.array(["01", "01", "01", "03", "03"]),
        months("2024-02", "2024-01", "2024-03", "2024-03", "2024-02"),
    )["sector"]

    assert sectors.cat.categories.tolist() == ["a", "b", "e"]
    assert sectors.astype(object).where(sectors.notna(), None).tolist() == ["a", None, "b", "e", None]


@pytest.mark.parametrize("months_", [None, months("2024-02", "2024-01", "2024-02"), months(*["NaT"] * 3)])
def test_a_business_has_one_row_a_month(folder: Path, months_: np.ndarray | None) -> None:
    with pytest.raises(ValueError, match=r"row 3: business '01' stands twice with the month (NaT|2024-02)"):
        opened(folder).matrix(np.array(["01", "03", "01"]), months_)


def test_special_values_are_missing_unless_they_are_asked_for(folder: Path) -> None:
    column = Column("inflow_sum", "numeric", special=(16, 99999999))
    party, ids = opened(folder, columns=(column,)), np.array(["03", "01"])
    as_of = months("2024-02", "2024-03")

    assert party.matrix(ids, as_of)["inflow_sum"].tolist() == pytest.approx([np.nan, 3.0], nan_ok=True)
    assert party.matrix(ids, as_of, special=True)["inflow_sum"].tolist() == [16.0, 3.0]


def test_reasons_stay_with_the_type(folder: Path) -> None:
    class Told(Lender):
        columns = (
            Column(
                "inflow_sum", "numeric", "CNY", "Inflow", -1, 4, "Little came in", "流入偏低", special=(-1,)
            ),
        )

    (offered,) = Told.default_declaration(folder).columns

    assert offered == Column("inflow_sum", "numeric", "CNY", "Inflow", -1, 4, special=(-1,))


def test_any_column_of_the_applications_may_be_a_segment(folder: Path) -> None:
    class Rater(Lender):
        tables: ClassVar[Mapping[str, tuple[str, ...]]] = {
            **Lender.tables,
            "applications": (*Lender.tables["applications"], "rating"),
        }

    APPLICATIONS.assign(rating=[1, 2], branch=["a", "b"]).to_parquet(folder / "applications.parquet")

    party = opened(folder, Rater, segments=("rating", "branch"))

    assert party.records.tables["applications"]["rating"].tolist() == [1.0, 2.0]
    assert party.applications()[["rating", "branch"]].to_numpy().tolist() == [["1", "a"], ["2", "b"]]


def test_records_come_under_the_names_of_the_class_whatever_the_file_calls_them(folder: Path) -> None:
    renamed = {"business_id": "uscc", "observation_month": "month", "default": "bad"}
    APPLICATIONS.rename(columns=renamed).to_parquet(folder / "applications.parquet")
    ACCOUNTS.rename(columns=renamed).to_csv(folder / "accounts.csv", index=False)

    party = opened(folder, id="uscc", month="month", label="bad")

    assert list(party.records.tables["applications"]) == [
        "business_id",
        "observation_month",
        "sector",
        "default",
    ]
    assert list(party.records.tables["accounts"]) == ["business_id", "month", "inflow", "branch"]
    assert party.applications().index.name == "uscc"
    assert party.matrix(np.array(["01"]), months("2024-03"))["inflow_sum"].tolist() == [3.0]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"file": "x.csv"}, "type 'lender' reads files of fixed names; remove the key file."),
        ({"columns": (Column("inflow_sun", "numeric"),)}, "no such column. Did you mean 'inflow_sum'?"),
        (
            {"columns": (Column("zzz", "numeric"),)},
            "no such column. It has 'inflow_sum', 'months_known', 'sector'.",
        ),
        (
            {"columns": (Column("sector", "numeric"),)},
            "column 'sector': kind must be 'categorical' in type 'lender'.",
        ),
        ({"columns": (), "label": None, "month": None, "segments": ()}, "neither a column nor the label."),
    ],
)
def test_a_declaration_that_does_not_fit_the_type_is_refused(
    folder: Path, changes: dict[str, object], problem: str
) -> None:
    message = open_error(folder, **changes)

    assert message.startswith(FILE_NAME)
    assert message.endswith(problem)


def test_a_type_without_a_label_refuses_one(folder: Path) -> None:
    class Passive(Lender):
        label = None
        month = None
        segments = ()

    assert open_error(folder, Passive, label="default") == (
        f"{FILE_NAME}: a party of type 'lender' has no label; remove the key label."
    )


def test_a_missing_record_table_is_named(folder: Path) -> None:
    (folder / "accounts.csv").unlink()

    assert open_error(folder) == (
        f"{folder} has no table accounts.parquet (or .csv); it has 'applications.parquet'."
    )


@pytest.mark.parametrize(
    ("table", "changes", "problem"),
    [
        (
            "applications",
            {"business_id": ["01", "01"]},
            "applications.parquet, rows 1 and 2, column 'business_id'",
        ),
        (
            "applications",
            {"default": [0, 2]},
            "row 2, column 'default': the values of the label are 0, 2; say which",
        ),
        (
            "applications",
            {"observation_month": ["2024-01", None]},
            "column 'observation_month': the month is missing.",
        ),
        (
            "accounts",
            {"inflow": ["1", "2", "x", "", "", ""]},
            "accounts.parquet, row 3, column 'inflow': 'x' is not",
        ),
        (
            "accounts",
            {"month": ["1.2024"] * 6},
            "accounts.parquet, row 1, column 'month': '1.2024' is not a month",
        ),
        (
            "accounts",
            {"business_id": [None] * 6},
            "accounts.parquet, row 1, column 'business_id': the id is missing.",
        ),
    ],
)
def test_a_mistake_in_the_records_is_located(
    folder: Path, table: str, changes: dict[str, list[object]], problem: str
) -> None:
    tables = {"applications": APPLICATIONS, "accounts": ACCOUNTS}
    tables[table].assign(**changes).to_parquet(folder / f"{table}.parquet")

    assert problem in open_error(folder)


def test_ids_that_look_alike_in_two_tables_are_named(folder: Path) -> None:
    ACCOUNTS.assign(business_id=["01", "x2", "01", "x3", "03", "03"]).to_csv(folder / "accounts.csv")
    APPLICATIONS.assign(business_id=["X2", "01"]).to_parquet(folder / "applications.parquet")

    assert open_error(folder).startswith(
        f"{folder}: the ids 'X2' and 'x2' of its tables differ only in letter"
    )


def test_a_missing_record_column_is_named(folder: Path) -> None:
    ACCOUNTS.rename(columns={"inflow": "Inflows"}).to_csv(folder / "accounts.csv")

    assert open_error(folder) == "accounts.csv has no column 'inflow'. Did you mean 'Inflows'?"


class Broken(Lender):
    """A type whose features are whatever a test sets."""

    result: ClassVar[pd.DataFrame]

    def features(self, records: Mapping[str, pd.DataFrame], as_of: pd.Series) -> pd.DataFrame:
        return self.result


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        (pd.DataFrame({"inflow_sum": [1.0]}, index=["02"]), "must be indexed exactly as `as_of` is"),
        (pd.DataFrame({"unasked": [1.0]}, index=["01"]), "lack the declared columns 'inflow_sum'"),
        (
            pd.DataFrame({"inflow_sum": [np.inf]}, index=["01"]),
            "column 'inflow_sum': the value of business '01' is infinite; is there a division by zero?",
        ),
    ],
)
def test_features_that_break_their_promise_are_refused(
    folder: Path, result: pd.DataFrame, problem: str
) -> None:
    Broken.result = result
    party = opened(folder, Broken, columns=Lender.columns[:1])

    with pytest.raises(DataError, match=problem):
        party.matrix(np.array(["01"]))
