"""The reserve model: the bank's own, which answers when the federated one cannot.

It is boosting on the bank's columns alone, with the run's settings of boosting. It scores applicants when a passive
party is away, and has a say on businesses that no passive party knows. It equals the contender `bank-only-boosting` bit
for bit, and is kept under that name.

Conversation `reserve/1`, one round trip: `TrainRequest` → `Trained` from the label holder.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fl.messages import Aggregate, Reader, Request, Setting, ToParties, request
from fl.records import Array
from fl.splits import Split

RESERVE = "bank-only-boosting"


@dataclass(frozen=True)
class Trained:
    """The label holder keeps its reserve model. curve has by metric its value after every tree, (trees,)."""

    curve: Mapping[str, Aggregate[Array]]


@request("train", to=Reader.LABEL_HOLDER)
@dataclass(frozen=True)
class TrainRequest(Request[Trained]):
    """Asks the label holder to train its reserve model under a seed."""

    seed: Setting[int]
    split: ToParties[Split]
