"""The finished scorecard at the bank: what is told of every party's columns, and what is kept of all positions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_applications
from clients.evaluation import keep_scores
from clients.scorecard.scoring import MOST, SCORECARD, BankModel, Totals
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
from fl.scorecard.points import PointsTable, Scale, codes_of, obeys, prefixes
from fl.scoring import Scored
from fl.splits import TEST, TRAIN, VALIDATION

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Share:
    """What the bank knows of one party's columns with points.

    columns  column, groups, least, most, sign (all int64), obeys, information, stability
    texts    in English and Chinese, what a customer is told of each
    """

    party: str
    columns: dict[str, Array]
    texts: tuple[Texts, Texts]

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
        return cls(party, columns, (english, chinese))

    @classmethod
    def of_party(
        cls,
        party: str,
        columns: Mapping[str, Array],
        grouping: Grouping,
        information: NDArray[np.float64],
    ) -> "Share":
        """A passive party's, as it says itself; checked."""
        own = grouping.columns
        check_names(f"columns of {party}", columns, _COLUMNS)
        if not np.array_equal(columns["columns"], own):
            raise ProtocolError(f"the columns of {party} must be those that have groups")
        for name in ("least", "most"):
            check_integers(f"{name} of {party}", columns[name], len(own), -MOST, MOST)
        check_numbers(f"stability of {party}", columns["stability"], (len(own),), np.float64)
        for name, kind in (("obeys", "b"), ("reasons", "U"), ("reasons_zh", "U")):
            if columns[name].dtype.kind != kind or columns[name].shape != (len(own),):
                raise ProtocolError(f"{name} of {party} must be there once for each column")
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
        return cls(party, told, texts)


_COLUMNS = ("columns", "least", "most", "obeys", "stability", "reasons", "reasons_zh")


@dataclass(frozen=True)
class Card:
    """What is told of the whole: the parties' shares, the bank's first."""

    shares: list[Share]

    @property
    def parties(self) -> list[str]:
        """Whose shares they are."""
        return [share.party for share in self.shares]

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
        heads = prefixes(self.parties)
        return np.concatenate(
            [codes_of(h, share.columns["column"]) for h, share in zip(heads, self.shares, strict=True)]
        )


def keep_card(
    session: Session, card: Card, totals: Totals, weights: NDArray[np.float64], roles: NDArray[np.int8]
) -> Scored:
    """Store the model, and scores, reasons and PDs of every position; evaluate those of the test rows."""
    config = session.config.scorecard
    scores, labels = totals.scores, read_applications(session.study).labels
    odds, validation = Scale.of(config).log_odds(scores), roles == VALIDATION
    calibration = Calibration()
    if config.calibrate:
        calibration = Calibration.fit(odds[validation], labels[validation])
    BankModel(weights, calibration).write(session.store)
    reasons, lost = totals.reasons(card.parties)
    told = card.texts()
    made = {"points": totals.points, "parties": np.array(card.parties, np.str_)}
    kept = {"score": scores, "base": np.array(totals.base), **made, "reasons": reasons, "lost": lost}
    session.store.write(SCORECARD, {**kept, **told})
    stability = population_stability_index(scores[roles == TRAIN], scores[roles == TEST])
    scale = {name: np.array([getattr(config, name)]) for name in ("pdo", "base_score", "base_odds")}
    scale |= {"base": np.array([totals.base]), "score_stability": np.array([stability])}
    tables: dict[str, Table] = {"scorecard": card.columns(), "reasons": told, "scale": scale}
    return keep_scores(session, calibration.apply(odds), roles, tables)


def _information_of_coverage(unknown: NDArray[np.uint8], labels: NDArray[np.int8]) -> float:
    """The information value of being known to a party; NaN where a class has nobody on one side."""
    bads = np.bincount(unknown[labels == 1], minlength=2)
    goods = np.bincount(unknown[labels == 0], minlength=2)
    if min(bads.min(), goods.min()) == 0:
        return float("nan")
    return information_value(goods, bads)
