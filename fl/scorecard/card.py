"""What is told of a finished scorecard: every column, every group with its points, and what a customer is told.

Each party tells it of its own columns (`Card`), and the bank adds what needs labels (`Share`). The shares of all
parties make the tables of the whole card (`tables_of_card`). A pooled scorecard has all parties' columns in one place,
and is told in the same way.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fl.arrays import check_integers, check_numbers
from fl.binning import Codes
from fl.config.scorecard import ScorecardConfig
from fl.errors import ProtocolError
from fl.evaluation import Columns
from fl.explanation import check_texts
from fl.metrics import population_stability_index, stability_index
from fl.scorecard import Card
from fl.scorecard.bank import BankColumns, BankPoints
from fl.scorecard.design import Floats, by_column, one_hot
from fl.scorecard.grouping import Evidence, Grouping, information_value
from fl.scorecard.points import PointsTable, codes_of, obeys, prefixes
from fl.scorecard.values import KNOWN, UNKNOWN
from fl.splits import TEST, TRAIN, Roles

Texts = NDArray[np.str_]

MOST = 100_000
"""Points of a group that could be meant: some thousand times doubling the odds."""


def told(
    table: PointsTable,
    groups: Codes,
    roles: Roles,
    values: Texts,
    texts: tuple[Texts, Texts],
    covered: Collection[str] = (),
) -> Card:
    """What a party tells of its columns; groups (n, k) and roles (n,) are of the rows that it knows.

    values are those of the groups, and texts, in English and Chinese, what a customer is told of each column, both of
    its table alone. At the bank, covered are the passive parties that it has a column for (`BankColumns.covered`).
    """
    then, now = (
        by_column(one_hot(groups[roles == role], table.counts).sum(axis=0), table.counts)
        for role in (TRAIN, TEST)
    )
    english, chinese = texts
    return Card(
        columns=table.columns,
        points=table.points,
        values=with_coverage(values, covered),
        stability=np.array(list(map(stability_index, then, now)), np.float64),
        reasons=np.array([*english, *(f"No record of the business at {name}" for name in covered)], np.str_),
        reasons_zh=np.array([*chinese, *(f"{name} 无该企业记录" for name in covered)], np.str_),
    )


def with_coverage(values: Texts, covered: Collection[str]) -> Texts:
    """The values of the groups of a table, and then those of the bank's columns of who is known to a party."""
    return np.array([*values, *[KNOWN, UNKNOWN] * len(covered)], np.str_)


def share_of_rows(groups: Codes, counts: NDArray[np.int64]) -> Floats:
    """The share of rows in each group, (all groups,), of rows in groups (n, k) of counts (k,)."""
    return np.asarray(one_hot(groups, counts).sum(axis=0) / max(1, len(groups)), np.float64)


@dataclass(frozen=True)
class Share:
    """What the bank knows of one party's columns with points.

    columns  by column: column, groups, least, most, sign (all int64), obeys, information, stability
    groups   by group, column by column: values (text, empty where the party keeps them), applicants (share of the
             training rows that the party knows, in whole per cents), points, and alone, those of a business that
             no passive party knows (both int64; the latter 0 but at the bank)
    texts    in English and Chinese, what a customer is told of each column
    means    float64 (2, k): mean points of each column over the training rows that the party knows, and of `alone`
    """

    party: str
    columns: Columns
    groups: Columns
    texts: tuple[Texts, Texts]
    means: Floats

    @classmethod
    def of(
        cls,
        party: str,
        card: Card,
        grouping: Grouping,
        applicants: Floats,
        information: Floats,
        alone: PointsTable | None = None,
    ) -> "Share":
        """applicants (g,) are shares of rows by group; information (k,) is the value of each column with points.

        alone are the bank's points of businesses that no passive party knows.
        """
        table = PointsTable.of(grouping, card.points)
        tables = [table] if alone is None else [table, alone]
        of_columns = {
            "column": grouping.columns,
            "groups": grouping.counts,
            "least": np.array([points.min() for points in table.by_column], np.int64),
            "most": table.best,
            "sign": grouping.signs.astype(np.int64),
            "obeys": np.logical_and.reduce([obeys(each, grouping.runs, grouping.signs) for each in tables]),
            "information": np.round(information, 3),
            "stability": card.stability,
        }
        points = card.points.astype(np.int64)
        # As whole per cents: of exact shares the numbers of rows, and then those of bads, could be worked out.
        of_groups = {
            "values": card.values,
            "applicants": np.round(applicants, 2),
            "points": points,
            "alone": np.zeros_like(points) if alone is None else alone.points,
        }
        means = [
            [
                float(shares @ values)
                for shares, values in zip(by_column(applicants, table.counts), each, strict=True)
            ]
            for each in (table.by_column, by_column(of_groups["alone"], table.counts))
        ]
        return cls(party, of_columns, of_groups, (card.reasons, card.reasons_zh), np.array(means))

    @classmethod
    def of_bank(
        cls,
        party: str,
        card: Card,
        bank: BankColumns,
        points: BankPoints,
        groups: Codes,
        labels: NDArray[np.int8],
        information: Floats,
    ) -> "Share":
        """The bank's own: groups (n, k) and labels (n,) of the training rows; information of its table's columns."""
        of_coverage = [
            _information_of_coverage(unknown, labels) for unknown in groups.T[len(bank.grouping.columns) :]
        ]
        values = np.append(information[bank.grouping.columns], of_coverage)
        applicants = share_of_rows(groups, bank.whole.counts)
        return cls.of(party, card, bank.whole, applicants, values, points.alone_table)

    @classmethod
    def of_passive(cls, party: str, card: Card, evidence: Evidence) -> "Share":
        """A passive party's; the bank knows the goods and bads of its groups."""
        grouping, sizes = evidence.grouping, evidence.goods + evidence.bads
        # Every row that the party knows is in one group of each column.
        applicants = sizes / sizes[: grouping.counts[0]].sum()
        return cls.of(party, card, grouping, applicants, evidence.information[grouping.columns])

    def tables(self, prefix: str) -> dict[str, Columns]:
        """Its part of the card's tables, with reason codes that begin with the prefix."""
        codes, groups = codes_of(prefix, self.columns["column"]), self.columns["groups"]
        party = np.full(len(codes), self.party)
        return {
            "scorecard": {"party": party, "code": codes, **self.columns},
            "groups": {"party": np.repeat(party, groups), "code": np.repeat(codes, groups), **self.groups},
            "reasons": {"code": codes, "text": self.texts[0], "text_zh": self.texts[1]},
        }


def check_card(party: str, card: Card, grouping: Grouping) -> None:
    """Raises ProtocolError unless a passive party's card may be one of the columns that have groups."""
    columns, groups = grouping.columns, int(grouping.counts.sum())
    if not np.array_equal(card.columns, columns):
        raise ProtocolError(f"the columns of {party} must be those that have groups")
    check_integers(f"points of {party}", card.points, groups, -MOST, MOST)
    check_numbers(f"stability of {party}", card.stability, (len(columns),), np.float64)
    for name, length in {"values": groups, "reasons": len(columns), "reasons_zh": len(columns)}.items():
        check_texts(f"{name} of {party}", getattr(card, name), length)


def given(points: NDArray[np.int32], labels: NDArray[np.int8]) -> NDArray[np.int64]:
    """What a party gave all goods, and all bads, (2,); points and labels (n,) of training rows."""
    return np.array([points[labels == label].sum(dtype=np.int64) for label in (0, 1)], np.int64)


def by_card(card: Card, evidence: Evidence) -> NDArray[np.int64]:
    """What the goods and the bads of its groups should have got by the party's card, (2,)."""
    return np.array([sizes @ card.points for sizes in (evidence.goods, evidence.bads)], np.int64)


def check_applied(party: str, given: NDArray[np.int64], expected: NDArray[np.int64]) -> None:
    """Raises ProtocolError unless a party gave rows the points of its card.

    The bank knows the goods and bads of each group, not who is in it. So it compares what all goods got, and all bads,
    with what their groups would have got by the card.
    """
    for name, got, wanted in zip(("goods", "bads"), given.tolist(), expected.tolist(), strict=True):
        if got != wanted:
            raise ProtocolError(
                f"the points of {party} must be those of its card: its {name} got {got} in all, "
                f"by its card {wanted}"
            )


def tables_of_card(
    shares: list[Share],
    config: ScorecardConfig,
    points: BankPoints,
    scores: NDArray[np.int64],
    roles: Roles,
) -> dict[str, Columns]:
    """The card's tables in an evaluation: every column and every group with its party and code, and every reason.

    shares are the parties', the bank's first; points are the bank's, and scores (n,) those of all rows.
    """
    heads = prefixes([share.party for share in shares])
    parts = [share.tables(head) for head, share in zip(heads, shares, strict=True)]
    tables: dict[str, Columns] = {
        name: {key: np.concatenate([part[name][key] for part in parts]) for key in columns}
        for name, columns in parts[0].items()
    }
    facts = {name: getattr(config, name) for name in ("pdo", "base_score", "base_odds")}
    facts |= {
        "base": points.base,
        "alone_base": points.alone_base,
        "score_stability": population_stability_index(scores[roles == TRAIN], scores[roles == TEST]),
        "bank": shares[0].party,
    }
    return tables | {"scale": {name: np.array([fact]) for name, fact in facts.items()}}


def named(tables: Mapping[str, Columns], names: Mapping[str, Sequence[str]]) -> dict[str, Columns]:
    """The card's tables with the names of columns, which are given by party, the bank first.

    The bank's columns of who is known to a party come after those of its table.
    """
    bank, *passive = names
    numbered = {**names, bank: [*names[bank], *(f"known to {party}" for party in passive)]}
    columns = tables["scorecard"]
    column_names = [
        numbered[str(party)][int(number)]
        for party, number in zip(columns["party"], columns["column"], strict=True)
    ]
    return {**tables, "scorecard": {"name": np.array(column_names, np.str_), **columns}}


def _information_of_coverage(unknown: NDArray[np.uint8], labels: NDArray[np.int8]) -> float:
    """The information value of being known to a party."""
    return information_value(*(np.bincount(unknown[labels == label], minlength=2) for label in (0, 1)))
