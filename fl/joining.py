"""How a bank joins others that have trained models together, and takes these models.

One of the other banks hands a model over, in a letter that the newcomer alone can read, and its policy must allow that
(`hand_over`). What is handed over is the model as all banks have it (`Program.shared`, in `fl/banks/program.py`): no
row, and no sum of the training. The newcomer evaluates it on its own test rows, may recalibrate it by its others
(`banks.recalibrate`), and then has it like the rest. Both have met in a study of their own (`fl/meeting.py`), whose
settings name the newcomer and the study that has trained the models (`newcomer`, `joins`).

Conversation `joining/1`, two round trips for each model: `HandOverRequest` → `Handed`, the bank that has it, and
`TakeRequest` → `Scored`, the newcomer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fl.banks.grid import Schema
from fl.evaluation import Scored
from fl.messages import Content, Reader, Request, Setting, ToLabelHolder, request


@dataclass(frozen=True, kw_only=True)
class HandedModel:
    """A model of several banks, of which nothing is any bank's own.

    schema  the columns that the banks have declared
    state   of its program, encoded
    """

    schema: Setting[Schema]
    state: Annotated[bytes, Content.AGGREGATE]


@dataclass(frozen=True)
class Handed:
    """The model, for the newcomer by its name."""

    models: Mapping[str, ToLabelHolder[HandedModel]]


@request("hand_over", to=Reader.LABEL_HOLDER)
@dataclass(frozen=True)
class HandOverRequest(Request[Handed]):
    """Asks a bank for the model of this name that it has from the study which the settings name."""


@request("take", to=Reader.LABEL_HOLDER)
@dataclass(frozen=True)
class TakeRequest(Request[Scored]):
    """For the newcomer: the model, by the name of the bank that has handed it over."""

    models: Mapping[str, ToLabelHolder[HandedModel]]
