"""A recorded run of the scorecard: which sums a passive party got, and what it told the bank of every row.

Labels and residuals travel under the engine `plain`. Every engine opens the same sums, and no attack looks at the
encrypted numbers, so a run under encryption gives the same figures; it only takes longer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_table
from clients.scorecard.columns import residual_ranges
from clients.scorecard.passive import Fit, Masking
from clients.store import Store
from experiments.attacks import recording
from fl.binning import Binning, Codes
from fl.config.run import TrainingConfig
from fl.config.scorecard import ScorecardConfig
from fl.encrypted_sums import new_responder
from fl.records import Array, decode
from fl.scorecard import (
    Card,
    FitRequest,
    GradientRequest,
    Masked,
    OpenedSums,
    Points,
    ScoreRequest,
    SolveRequest,
    Step,
    StepRequest,
)
from fl.scorecard.grouping import Grouping
from fl.splits import TEST, TRAIN

LARGER = 5


@dataclass(frozen=True)
class Grouped:
    """How a passive party's bins became groups, which the bank knows, too, and the groups of all rows, (n, k)."""

    grouping: Grouping
    groups: Codes


@dataclass(frozen=True)
class Mask:
    """What hides the sums of an exchange from the bank."""

    mask: Mapping[str, Array]


def min_groups(config: ScorecardConfig) -> dict[str, ScorecardConfig]:
    """What is compared: the settings as they are, and groups with `LARGER` times more goods and bads at least."""
    larger = LARGER * config.min_group
    return {"as-set": config, f"min-group-{larger}": replace(config, min_group=larger)}


class Tap(recording.Tap):
    """Keeps, too, a passive party's groups and masks."""

    kept = (FitRequest, GradientRequest, StepRequest, SolveRequest, ScoreRequest)

    def __init__(self, config: TrainingConfig) -> None:
        scorecard = config.section(ScorecardConfig)
        super().__init__(config.with_section(replace(scorecard, encryption="plain")))

    def note(self, model: Store, messages: list[Any]) -> None:
        """Add the mask to masked sums, and to the first ones the groups."""
        request, reply = messages[-2:]
        if isinstance(request, FitRequest):
            grouping, table = model.read(Fit).grouping, read_table(Store(model.folder.parent.parent))
            messages.append(Grouped(grouping, grouping.transform(model.read(Binning).transform(table))))
        if isinstance(reply, Masked):
            messages.append(Mask(decode(Masking, model.last().state).mask))


class Recording(recording.Recording):
    """One scorecard and what every party received while it was fitted."""

    contender = "federated-scorecard"
    tap = Tap
    variants = staticmethod(min_groups)

    def grouped(self, party: str) -> Grouped:
        """The groups of a passive party's columns and rows. Raises ValueError if it has no column worth its place."""
        (grouped,) = self.received(Grouped, party)
        return grouped

    def sums(self, party: str) -> list[NDArray[np.float64]]:
        """What a passive party got in each exchange: PD less label, summed over each of its groups, (all groups,)."""
        config = self.config.section(ScorecardConfig)
        rows, unit = int((self.roles == TRAIN).sum()), 1 << config.precision
        responder = new_responder("plain", rows, residual_ranges(config), {})
        letters = [request.sums.read(OpenedSums).sums for request in self.received(StepRequest, party)]
        masks = [noted.mask for noted in self.received(Mask, party)]
        unmasked = [responder.unmask(sums, mask) for sums, mask in zip(letters, masks, strict=True)]
        # The last sum of each column is over the rows that the party does not know.
        return [np.concatenate([part[0, :-1, 0] for part in parts]) / unit for parts in unmasked]

    def partial_scores(self, party: str) -> NDArray[np.float64]:
        """A passive party's partial scores after each step, (rows, exchanges), of the `positions`."""
        requests = self.received(SolveRequest, self.joined.holder)
        return np.stack([request.steps[party].read(Step).scores for request in requests], axis=1)

    def positions(self, party: str) -> NDArray[np.int_]:
        """The rows that train or validate and that a passive party knows, (rows,)."""
        return np.flatnonzero((self.roles != TEST) & self.joined.coverage[party])

    def training(self, party: str) -> NDArray[np.int_]:
        """Those of them that train."""
        return np.flatnonzero((self.roles == TRAIN) & self.joined.coverage[party])

    def told(self, party: str) -> tuple[Card, Points]:
        """What a passive party told the bank in the end, of its columns and of every row."""
        (request,) = self.received(ScoreRequest, self.joined.holder)
        return request.cards[party].read(Card), request.points[party].read(Points)
