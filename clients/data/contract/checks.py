"""The checks, one function each: it returns what is wrong with a specimen, or an empty text.

Each looks at what leaves the party (`Party.matrix`, `Party.applications`), so a type is free in how it computes.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clients.data.column import Column
from clients.data.contract.specimen import STRANGER, Specimen
from clients.data.errors import listing
from clients.parties.base import Party
from clients.parties.records import APPLICATIONS, MONTH


class Breach(AssertionError):
    """A party type does not keep the contract; the text says where and what to change."""


@dataclass(frozen=True)
class Check:
    """A check: its name, what a type that fails it should change, and the function that finds what is wrong."""

    name: str
    advice: str
    find: Callable[[Specimen], str]

    def problem(self, specimen: Specimen) -> str:
        """What is wrong and what to change; empty if the type passes."""
        try:
            problem = self.find(specimen)
        except Exception as error:  # the code of another package can raise anything
            problem = f"{type(error).__name__}: {error}"
        return f"{problem.rstrip('.')}. {self.advice}" if problem else ""


def schema(specimen: Specimen) -> str:
    """The class has everything that a declaration needs."""
    kind = specimen.kind
    name = getattr(kind, "type", None)
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        return f"the type's name is {name!r}, not lower-case letters, digits and '_'"
    names = [column.name for column in kind.columns or specimen.party().declaration.columns]
    if not names or len(set(names)) < len(names):
        return f"the columns are {listing(names)}; there must be some, each with a name of its own"
    for column in kind.columns:
        if not column.description or (column.kind == "numeric" and not column.unit):
            return f"column '{column.name}' has no {'unit' if column.description else 'description'}"
    applications = kind.tables.get(APPLICATIONS, ())
    for role in ("label", "month"):
        if getattr(kind, role) is not None and getattr(kind, role) not in applications:
            return f"{role} '{getattr(kind, role)}' is no column of the table '{APPLICATIONS}'"
    if not kind.tables and kind.read_records is Party.read_records:
        return "the type names no record table"
    return ""


def grades(specimen: Specimen) -> str:
    """Each column has a data grade, and a declaration made by default does not lower it."""
    for column in specimen.kind.columns:
        if not isinstance(column, Column):
            return f"{column!r} is no clients.data.column.Column, so it has no grade"
    grade_of = {column.name: column.grade for column in specimen.kind.columns}
    for column in specimen.party().declaration.columns:
        if column.grade < (grade := grade_of.get(column.name, column.grade)):
            return (
                f"column '{column.name}' is declared with grade {column.grade} where the class says {grade}"
            )
    return ""


def computed(specimen: Specimen) -> str:
    """Every declared column has values."""
    return _gaps(specimen.features())


def determinism(specimen: Specimen) -> str:
    """The same records give the same features."""
    return _difference(specimen.features(), specimen.features(), "when the same records are opened again")


def row_order(specimen: Specimen) -> str:
    """The order of rows in a file makes no difference."""
    shuffled = specimen.altered(lambda _, table: table.iloc[::-1])
    return _difference(
        specimen.features(), specimen.features(shuffled), "when the rows of the records are reversed"
    )


def independence(specimen: Specimen) -> str:
    """A business's features do not depend on which others are asked for, and so not on their later months."""
    together, party = specimen.features(), specimen.party()
    for business, month in specimen.as_of.items():
        alone = party.matrix(np.array([business]), np.array([month], dtype="datetime64[M]"))
        if problem := _difference(
            together.loc[[business]], alone, "when other businesses are asked for, too"
        ):
            return problem
    return ""


def no_look_ahead(specimen: Specimen) -> str:
    """Records after a business's observation month change nothing."""

    def changed(_: str, table: pd.DataFrame) -> pd.DataFrame:
        later = specimen.is_later(table)
        for column in specimen.values(table):
            is_number = pd.api.types.is_numeric_dtype(table[column])
            table.loc[later, column] = table.loc[later, column] * 7 + 1 if is_number else "later"
        return table

    for name, table in specimen.kind.tables.items():
        if name != APPLICATIONS and MONTH not in table:
            return f"table '{name}' has no column '{MONTH}', so its records cannot end with the observation month"
    before = specimen.features()
    for records, how in (
        (specimen.altered(changed), "changed"),
        (specimen.altered(lambda _, table: table[~specimen.is_later(table)]), "removed"),
    ):
        if problem := _difference(before, specimen.features(records), f"when later records are {how}"):
            return problem
    return ""


def no_label(specimen: Specimen) -> str:
    """The label is no feature."""
    label = specimen.kind.label

    def turned(name: str, table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(**{label: 1 - table[label]}) if label and name == APPLICATIONS else table

    return _difference(
        specimen.features(), specimen.features(specimen.altered(turned)), "when labels are turned"
    )


def unknown_businesses(specimen: Specimen) -> str:
    """A business that is unknown, has no record yet or is missing in one of the tables has a row like any other."""
    if not specimen.features(ids=np.array([*specimen.ids, STRANGER])).loc[STRANGER].isna().all():
        return "a business that no record names has features"
    specimen.features(ids=np.array([STRANGER]))
    first = specimen.ids[0]

    def young(_: str, table: pd.DataFrame) -> pd.DataFrame:
        is_first = (table[specimen.id_column(table)] == first).to_numpy()
        return table[~is_first | specimen.is_later(table) | (MONTH not in table)]

    features = specimen.features(specimen.altered(young))
    if all(MONTH in table for table in specimen.records.values()) and not features.loc[first].isna().all():
        return "a business whose records are all later than its observation month has features"
    for name, table in specimen.records.items() if len(specimen.records) > 1 else ():
        specimen.features({**specimen.records, name: table[table[specimen.id_column(table)] != first]})
    return ""


def nothing_else_leaves(specimen: Specimen) -> str:
    """Only the declared columns of the businesses asked for leave the party, and no category names a business."""
    asked = specimen.ids[[3, 0, 5]]
    for count in (1, None):
        declared = list(specimen.party(columns=count).declaration.column_names)
        features = specimen.features(ids=asked, columns=count)
        if list(features.columns) != declared:
            return f"the columns {listing(features.columns)} leave where {listing(declared)} are declared"
        if features.index.tolist() != asked.tolist():
            return "the rows that leave are not those of the businesses asked for, in their order"
    for name in features.select_dtypes("category"):
        for level in features[name].cat.categories:
            if any(business in level for business in specimen.ids):
                return f"a level of the category '{name}' is the id of a business"
    party = specimen.party()
    if party.declaration.target is not None:
        offered, allowed = list(party.applications().columns), ["label", "month", *party.declaration.segments]
        if offered != allowed:
            return (
                f"the applications have the columns {listing(offered)} where {listing(allowed)} are allowed"
            )
    return ""


def small_inputs(specimen: Specimen) -> str:
    """No business, one business, and one record are enough."""
    features = specimen.features(ids=np.array([], dtype=np.str_))
    if len(features) or list(features.columns) != list(specimen.party().declaration.column_names):
        return "asked for no business, the features are not an empty frame of the declared columns"

    def one_row(_: str, table: pd.DataFrame) -> pd.DataFrame:
        is_first = (table[specimen.id_column(table)] == specimen.ids[0]).to_numpy()
        return table[is_first & ~specimen.is_later(table)].iloc[:1]

    specimen.features(specimen.altered(one_row), ids=specimen.ids[:1])
    return ""


def zeros(specimen: Specimen) -> str:
    """All numbers in the records may be zero."""

    def emptied(_: str, table: pd.DataFrame) -> pd.DataFrame:
        numbers = [name for name in specimen.values(table) if pd.api.types.is_numeric_dtype(table[name])]
        return table.assign(**dict.fromkeys(numbers, 0.0))

    specimen.features(specimen.altered(emptied))
    return ""


def without_months(specimen: Specimen) -> str:
    """Features can also be computed without observation months."""
    problem = _gaps(specimen.party().matrix(specimen.ids))
    return f"without observation months {problem}" if problem else ""


def _gaps(features: pd.DataFrame) -> str:
    """The columns of a feature frame without any value, as a clause."""
    empty = [name for name in features if features[name].isna().all()]
    return f"no business has a value in {listing(empty)}" if empty else ""


def _difference(one: pd.DataFrame, other: pd.DataFrame, when: str) -> str:
    """The first column in which two feature frames of the same rows differ, as a clause."""
    for name in one:
        if isinstance(one[name].dtype, pd.CategoricalDtype):
            a, b = (frame[name].astype(object).where(frame[name].notna(), None) for frame in (one, other))
            same = a.tolist() == b.tolist()
        else:
            # Sums may be taken in another order.
            same = np.allclose(one[name], other[name], rtol=1e-9, atol=1e-12, equal_nan=True)
        if not same:
            return f"column '{name}' changes {when}"
    return ""


_USE_RECORDS = "Compute it from the `records` that `features` is given, and from nothing else."

CHECKS = (
    Check(
        "schema complete",
        "Set `type`, `tables` and `columns` of the class; each column needs a description, and a number its unit.",
        schema,
    ),
    Check(
        "grades present",
        "Give each Column its data grade (JR/T 0197-2020), and leave it as it is in `default_declaration`.",
        grades,
    ),
    Check(
        "every column computed",
        "Return every column of `columns` from `features`, indexed as `as_of` is; if made-up records do not fit the "
        "type, write the class method `example_records(as_of)`.",
        computed,
    ),
    Check("deterministic", "Use no random number, clock or state of an earlier call.", determinism),
    Check("order of rows", "Sort the records before taking a first or last one.", row_order),
    Check(
        "each business by itself",
        "Compute a business's features from its own records; means or ranks over businesses let later months in.",
        independence,
    ),
    Check(
        "no look-ahead",
        f"{_USE_RECORDS} They end with each business's observation month, by the month in which each became known.",
        no_look_ahead,
    ),
    Check("label unused", f"{_USE_RECORDS} They hold no label.", no_label),
    Check(
        "unknown businesses",
        "Return a row for every id of `as_of`; a business without records is a row of missing values.",
        unknown_businesses,
    ),
    Check(
        "nothing undeclared leaves",
        "Leave `matrix` and `applications` as they are, and make no category of ids.",
        nothing_else_leaves,
    ),
    Check("empty and one-row inputs", "Let `features` work on tables with one row, or none.", small_inputs),
    Check(
        "zeros",
        "Return NaN where a ratio has no denominator; `clients.parties.monthly.log_ratio` does.",
        zeros,
    ),
    Check(
        "no observation months",
        "Where `as_of` is NaT, take the last month of the records instead; `clients.parties.monthly` does.",
        without_months,
    ),
)
"""Every check, in the order in which the author of a new type would correct it."""
