"""Reasons: what a customer is told who is declined, or gets a worse price.

A party has a sentence for each of its columns, in English and in Chinese (`with_reasons`), and tells it to the bank
once, when a training ends, if its policy allows that. The bank adds to those of its own columns what its records say.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from clients.data.column import Column
from clients.session import Session
from fl.explanation import ALL, BANK, Explanation, Feature, Text, printable
from fl.records import Array
from fl.scorecard.card import Texts
from fl.scorecard.points import REASONS, prefixes
from fl.tables import Table

ADDS = "adds "
"""How the names of the columns begin that say what each feature adds."""
LEAST = 0.005
"""Log odds that a reason adds at least: half a per cent of the odds."""
_DECIMALS = 12
"""Of what each feature adds, so that hundreds of them still add up to the log odds within 1e-9."""


def column_texts(session: Session, table: Table, numbers: NDArray[np.int64]) -> tuple[Texts, Texts]:
    """What the bank is told of the party's columns of these numbers (k,), in English and in Chinese.

    If the policy forbids that, it is told whose records they are.
    """
    if session.policy.reason_texts is False:
        text = unnamed(session.declaration.name)
        return np.full(len(numbers), text.english), np.full(len(numbers), text.chinese)
    return reasons_of(session.columns, table, numbers)


def reasons_of(
    columns: Mapping[str, Column], table: Table, numbers: NDArray[np.int64]
) -> tuple[Texts, Texts]:
    """What a customer is told by columns of these numbers (k,), in English and in Chinese.

    columns are those that `with_reasons` makes.
    """
    chosen = [columns[table.names[number]] for number in numbers]
    return (
        np.array([printable(column.reason) for column in chosen], np.str_),
        np.array([printable(column.reason_zh) for column in chosen], np.str_),
    )


def unnamed(party: str) -> Text:
    """What is told of a column that the party keeps to itself."""
    return Text(f"A record of {party}", f"{party} 的一项记录")


def reason_columns(
    session: Session,
    explanation: Explanation,
    table: Table,
    applicants: Table,
    coverage: Mapping[str, NDArray[np.bool_]],
) -> dict[str, Array]:
    """Columns of the bank's answers for the rows of its table, (n,) each, that say why.

    Up to four reasons, worst first: `reason_1`, the code of a column that raises the risk above that of the average
    business; `adds_1`, how much, in log odds; `text_1` and `text_zh_1`, what the customer is told. Where there is none,
    texts are empty and the number is 0. Then `base`, and for every column a number named like `adds TAX07: …`: together
    they are the log odds. applicants are those of the training, with whom the bank's texts compare; coverage says which
    rows each passive party knows.
    """
    wording = _Wording(session, explanation, table, applicants, coverage)
    features = sorted(explanation.contributions, key=wording.order)
    added = np.stack([explanation.contributions[feature] for feature in features], axis=1)
    places = np.argsort(-added, axis=1, kind="stable")[:, :REASONS]
    columns: dict[str, Array] = {}
    for number, place in enumerate(places.T, start=1):
        adds = np.take_along_axis(added, place[:, None], 1)[:, 0]
        raises = adds >= LEAST
        texts = np.full((3, len(table)), "", object)
        for feature in np.unique(place[raises]):
            rows = np.flatnonzero(raises & (place == feature))
            texts[0, rows] = wording.code(features[feature])
            texts[1:, rows] = np.array(wording.texts(features[feature], rows), object).T
        code, english, chinese = texts.astype(np.str_)
        columns |= {
            f"reason_{number}": code,
            f"adds_{number}": np.where(raises, adds, 0.0),
            f"text_{number}": english,
            f"text_zh_{number}": chinese,
        }
    names = {f"{ADDS}{wording.code(feature)}: {wording.name(feature)}": feature for feature in features}
    return {
        **columns,
        "base": explanation.base,
        # What is smaller is left over from calculation; and minus nothing is nothing, too.
        **{
            name: np.round(explanation.contributions[feature], _DECIMALS) + 0.0
            for name, feature in names.items()
        },
    }


class _Wording:
    """Codes, names and texts of the features of an explanation."""

    def __init__(
        self,
        session: Session,
        explanation: Explanation,
        table: Table,
        applicants: Table,
        coverage: Mapping[str, NDArray[np.bool_]],
    ) -> None:
        self._bank, self._coverage = session.declaration.name, coverage
        self._columns, self._told = session.columns, explanation.texts
        self._table, self._applicants = table, applicants
        self._prefixes = dict(
            zip([BANK, *coverage], prefixes([session.declaration.name, *coverage]), strict=True)
        )

    def order(self, feature: Feature) -> tuple[int, int]:
        """By which features are sorted: the bank's first, then those of each passive party."""
        return list(self._prefixes).index(feature.party), feature.column

    def code(self, feature: Feature) -> str:
        """Such as TAX07; TAX00 of the columns that are not told apart."""
        return f"{self._prefixes[feature.party]}{feature.column + 1:02d}"

    def name(self, feature: Feature) -> str:
        """The column's name at the bank, else what its party has told of it."""
        if feature.party != BANK:
            return self._text_of(feature).english
        names = self._table.names
        if feature.column < len(names):
            return names[feature.column]
        return f"known to {self._party(feature)}"

    def texts(self, feature: Feature, rows: NDArray[np.int_]) -> list[Text]:
        """What the customers of these rows are told."""
        if feature.party != BANK:
            return [self._text_of(feature)] * len(rows)
        if feature.column >= len(self._table.names):
            party = self._party(feature)
            on_record = Text(f"The business is on record at {party}", f"{party} 有该企业记录")
            return [on_record if known else _no_record(party) for known in self._coverage[party][rows]]
        column = self._columns[self._table.names[feature.column]]
        place = feature.column - len(self._table.numeric_names)
        if place >= 0:
            codes, levels = self._table.codes[rows, place], self._table.levels[place]
            return [
                _with(column, levels[code], levels[code]) if code >= 0 else _not_on_record(column)
                for code in codes
            ]
        values = self._table.numeric[rows, feature.column]
        everyone = self._applicants.numeric[:, feature.column]
        return compared(column, values, np.sort(everyone[~np.isnan(everyone)]))

    def _party(self, feature: Feature) -> str:
        return list(self._coverage)[feature.column - len(self._table.names)]

    def _text_of(self, feature: Feature) -> Text:
        if feature.column == ALL:
            return Text(f"Records of {feature.party}", f"{feature.party} 的记录")
        told = self._told.get(feature, Text("", ""))
        generic = unnamed(feature.party)
        return Text(told.english or generic.english, told.chinese or told.english or generic.chinese)


def compared(column: Column, values: NDArray[np.float64], everyone: NDArray[np.float64]) -> list[Text]:
    """A numeric column's reason for values (n,), with the figure and its rank among all applicants' (sorted).

    Where the risk rises with the value, it is compared with lower ones, where it falls, with higher ones, and else with
    the larger part. Logarithms are no figures for customers, so of these the rank alone is told. A model may count a
    figure against a customer that most others exceed; then the column is described, since its reason would be untrue.
    """
    below = np.searchsorted(everyone, values, "left") / max(1, len(everyone))
    above = 1 - np.searchsorted(everyone, values, "right") / max(1, len(everyone))
    texts = []
    for value, lower, higher in zip(values.tolist(), below.tolist(), above.tolist(), strict=True):
        if np.isnan(value):
            texts.append(_not_on_record(column))
            continue
        is_high = column.sign > 0 or (column.sign == 0 and lower >= higher)
        # Of hundreds of applicants, the value of the riskiest is above that of all but one.
        share = min(99, round(100 * (lower if is_high else higher)))
        number = np.format_float_positional(float(f"{value:.4g}"), trim="-")
        unit = column.unit.removeprefix("ratio")
        english = [] if unit.startswith("log") else [f"{number} {unit}".rstrip()]
        chinese = [*english]
        if share:
            english.append(f"{'more' if is_high else 'less'} than {share} % of applicants")
            chinese.append(f"{'高于' if is_high else '低于'} {share}% 的申请人")
        tell = _described if column.sign and share < 50 else _with
        texts.append(tell(column, ", ".join(english), "，".join(chinese)))
    return texts


def _with(column: Column, english: str, chinese: str) -> Text:
    """A column's reason, and in brackets what the bank's records say, if that is anything."""
    if not english:
        return Text(printable(column.reason), printable(column.reason_zh))
    return Text(printable(f"{column.reason} ({english})"), printable(f"{column.reason_zh}（{chinese}）"))


def _described(column: Column, english: str, chinese: str) -> Text:
    """What a column holds, and what the bank's records say."""
    what = column.description or column.name
    if not english:
        return Text(printable(what), printable(what))
    return Text(printable(f"{what}: {english}"), printable(f"{what}：{chinese}"))


def _not_on_record(column: Column) -> Text:
    """What is told where the bank's records say nothing."""
    what = column.description or column.name
    return Text(printable(f"Not on record: {what}"), printable(f"无记录：{what}"))


def _no_record(party: str) -> Text:
    """What is told of a business that a party does not know."""
    return Text(f"No record of the business at {party}", f"{party} 无该企业记录")
