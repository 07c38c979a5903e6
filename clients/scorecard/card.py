"""The finished scorecard at the bank: every party's share of it, all scores and reasons, and what is told of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_applications
from clients.evaluation import keep_scores
from clients.scorecard.shares import Texts
from clients.session import Session
from fl.arrays import check_integers, check_names, check_numbers
from fl.binning import Codes
from fl.calibration import Calibration
from fl.errors import ProtocolError
from fl.evaluation import Table
from fl.metrics import population_stability_index
from fl.scorecard.bank import BankColumns
from fl.scorecard.grouping import Grouping, information_value, stability_index
from fl.scorecard.points import NO_REASON, REASONS, PointsTable, Scale, codes_of, obeys, prefixes, worst
from fl.scoring import Scored
from fl.splits import TEST, TRAIN, VALIDATION

Array = np.ndarray[Any, Any]

SCORECARD = "scorecard"
"""Name in the bank's store: of every position its score (n,) and what it is made of, points (n, p) of the parties (p,)
and base for everybody; reasons text (n, 4) of codes, lost (n, 4); and code, text and text_zh of all reasons."""

_MOST = 100_000  # points of a group that could be meant: some thousand times doubling the odds


@dataclass(frozen=True)
class Share:
    """What the bank knows of one party's part.

    columns        by column with points: column, groups, least, most, sign (all int64), obeys, information, stability
    texts          in English and Chinese, what a customer is told of each column
    points         int64 (n,)
    reasons, lost  int16, int32 (n, 4): numbers of the columns that lose most, and how much
    """

    party: str
    columns: dict[str, Array]
    texts: tuple[Texts, Texts]
    points: NDArray[np.int64]
    reasons: NDArray[np.int16]
    lost: NDArray[np.int32]

    @classmethod
    def of_bank(
        cls,
        party: str,
        table: PointsTable,
        bank: BankColumns,
        groups: Codes,
        roles: NDArray[np.int8],
        labels: NDArray[np.int8],
        own_texts: tuple[Texts, Texts],
        parties: Sequence[str],
        information: NDArray[np.float64],
    ) -> "Share":
        """The bank's own: groups (n, k), roles and labels (n,) of all positions; texts of its table's columns.

        parties are all passive ones; information is the value of each of the table's columns.
        """
        training = roles == TRAIN
        counted = [
            [np.bincount(own[roles == role], minlength=size) for role in (TRAIN, TEST)]
            for own, size in zip(groups.T, table.counts, strict=True)
        ]
        of_coverage = [
            _information_of_coverage(groups[training, place - len(bank.parties)], labels[training])
            for place in range(len(bank.parties))
        ]
        least, most = table.ranges()
        columns = {
            "column": table.columns,
            "groups": table.counts,
            "least": least,
            "most": most,
            "sign": bank.signs.astype(np.int64),
            "obeys": obeys(table, bank.runs, bank.signs),
            "information": np.append(information[bank.grouping.columns], of_coverage),
            "stability": np.array([stability_index(*rows) for rows in counted], np.float64),
        }
        names = [parties[number] for number in bank.parties]
        english = np.append(own_texts[0], [f"Not known to {name}" for name in names])
        chinese = np.append(own_texts[1], [f"{name} 无该企业记录" for name in names])
        return cls(party, columns, (english, chinese), table.totals(groups), *table.reasons(groups))

    @classmethod
    def of_party(
        cls,
        party: str,
        columns: Mapping[str, Array],
        rows: Mapping[str, Array],
        grouping: Grouping,
        information: NDArray[np.float64],
        count: int,
    ) -> "Share":
        """A passive party's, as it says itself of its columns and of `count` rows; checked."""
        own = grouping.columns
        check_names(f"columns of {party}", columns, _COLUMNS)
        check_names(f"rows of {party}", rows, ("points", "reasons", "lost"))
        if not np.array_equal(columns["columns"], own):
            raise ProtocolError(f"the columns of {party} must be those that have groups")
        for name in ("least", "most"):
            check_integers(f"{name} of {party}", columns[name], len(own), -_MOST, _MOST)
        check_numbers(f"stability of {party}", columns["stability"], (len(own),), np.float64)
        for name, kind in (("obeys", "b"), ("reasons", "U"), ("reasons_zh", "U")):
            if columns[name].dtype.kind != kind or columns[name].shape != (len(own),):
                raise ProtocolError(f"{name} of {party} must be there once for each column")
        reach = _MOST * max(1, len(own))
        check_integers(f"points of {party}", rows["points"], count, -reach, reach)
        for name, low, high in (("reasons", NO_REASON, len(grouping.shape)), ("lost", 0, 2 * _MOST)):
            if rows[name].shape != (count, REASONS):
                raise ProtocolError(f"{name} of {party} must be {(count, REASONS)}, not {rows[name].shape}")
            check_integers(f"{name} of {party}", rows[name].ravel(), None, low, high)
        told = {
            "column": own,
            "groups": grouping.counts,
            **{name: columns[name] for name in ("least", "most")},
            "sign": grouping.signs.astype(np.int64),
            "obeys": columns["obeys"],
            "information": information[own],
            "stability": columns["stability"],
        }
        texts = columns["reasons"], columns["reasons_zh"]
        return cls(party, told, texts, rows["points"].astype(np.int64), rows["reasons"], rows["lost"])


_COLUMNS = ("columns", "least", "most", "obeys", "stability", "reasons", "reasons_zh")


@dataclass(frozen=True)
class Card:
    """The whole: its scale, the points that everybody has, and the shares, the bank's first."""

    scale: Scale
    base: int
    shares: list[Share]

    @property
    def scores(self) -> NDArray[np.int64]:
        """The score (n,) of every position: what the parties' points add up to."""
        return np.asarray(self.points.sum(axis=1) + self.base, np.int64)

    @property
    def points(self) -> NDArray[np.int64]:
        """The points (n, p) of every position by party."""
        return np.stack([share.points for share in self.shares], axis=1)

    def reasons(self) -> tuple[Texts, NDArray[np.int32]]:
        """Codes (n, 4) in falling order of points lost, empty for none, and the points (n, 4)."""
        heads = self._prefixes()
        return worst(
            [(codes_of(h, share.reasons), share.lost) for h, share in zip(heads, self.shares, strict=True)]
        )

    def columns(self) -> Table:
        """Every column with points: party, and as in `Share.columns`."""
        names = np.concatenate([np.full(len(s.columns["column"]), s.party) for s in self.shares])
        parts = {key: [share.columns[key] for share in self.shares] for key in self.shares[0].columns}
        return {"party": names, "code": self._codes()} | {
            key: np.concatenate(found) for key, found in parts.items()
        }

    def texts(self) -> Table:
        """Every reason code, with what a customer is told."""
        english, chinese = (np.concatenate([share.texts[n] for share in self.shares]) for n in (0, 1))
        return {"code": self._codes(), "text": english, "text_zh": chinese}

    def _codes(self) -> Texts:
        heads = self._prefixes()
        return np.concatenate(
            [codes_of(h, share.columns["column"]) for h, share in zip(heads, self.shares, strict=True)]
        )

    def _prefixes(self) -> list[str]:
        return prefixes([share.party for share in self.shares])


def keep_card(session: Session, card: Card, roles: NDArray[np.int8]) -> Scored:
    """Store scores, reasons and PDs of every position, and evaluate those of the test rows."""
    scores, labels = card.scores, read_applications(session.study).labels
    odds, validation = card.scale.log_odds(scores), roles == VALIDATION
    calibration = Calibration()
    if session.config.scorecard.calibrate:
        calibration = Calibration.fit(odds[validation], labels[validation])
    reasons, lost = card.reasons()
    told = card.texts()
    made = {"points": card.points, "parties": np.array([share.party for share in card.shares], np.str_)}
    kept = {"score": scores, "base": np.array(card.base), **made, "reasons": reasons, "lost": lost}
    session.store.write(SCORECARD, {**kept, **told})
    stability = population_stability_index(scores[roles == TRAIN], scores[roles == TEST])
    config = session.config.scorecard
    scale = {name: np.array([getattr(config, name)]) for name in ("pdo", "base_score", "base_odds")}
    scale |= {"base": np.array([card.base]), "score_stability": np.array([stability])}
    tables: dict[str, Table] = {"scorecard": card.columns(), "reasons": told, "scale": scale}
    return keep_scores(session, calibration.apply(odds), roles, tables)


def _information_of_coverage(unknown: NDArray[np.uint8], labels: NDArray[np.int8]) -> float:
    """The information value of being known to a party; NaN where a class has nobody on one side."""
    bads = np.bincount(unknown[labels == 1], minlength=2)
    goods = np.bincount(unknown[labels == 0], minlength=2)
    if min(bads.min(), goods.min()) == 0:
        return float("nan")
    return information_value(goods, bads)
