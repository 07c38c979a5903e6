"""How a bank hides what it adds for a model: the keys that it makes and is told, and the pads of one sum after another.

The banks have met in the study of all (`fl/meeting.py`). A bank refuses to train with one other alone unless the run
allows that, as each would have the other's numbers.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from clients.post import Partners
from clients.session import Session
from fl.banks import PadKeys, Started
from fl.banks.grid import Schema
from fl.config.banks import BanksConfig
from fl.errors import ProtocolError
from fl.messages import Letter
from fl.records import Array, encode
from fl.secure_sums import KEY, Keys, Masked, Use


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """The keys that the bank has made for a model, 32 bytes each; the group key is that of the first bank, or empty."""

    private: bytes
    group: bytes


@dataclass(frozen=True)
class Pads:
    """The keys that hide what the bank adds, and what the pads of the sum that is under way are for."""

    keys: Keys
    use: Use

    def shown(self, numbers: NDArray[np.int64]) -> Masked:
        """What the bank shows of its numbers (k,): uint64 (k + 1,)."""
        return self.keys.mask(numbers, self.use)

    def read(self, total: Array) -> tuple[NDArray[np.int64], Self]:
        """The sums (k,) in the total of what all banks have shown, and the pads of the next sum."""
        if total.dtype != np.uint64 or total.ndim != 1:
            raise ProtocolError("a total must be whole numbers (k,) of 64 bits")
        return self.keys.unmask(total, self.use), replace(self, use=self.use.after(total))


def offered(session: Session, schema: Schema) -> Started:
    """Make fresh keys for the model, keep them as the state, and tell the other banks what they need of them."""
    banks, name = banks_of(session), session.declaration.name
    if len(banks) == 2 and not session.config.section(BanksConfig).allow_two:
        raise ProtocolError(
            "of two banks each can take its own numbers off every sum, and has the other's; bring a third bank, or "
            "allow that by --allow-two (banks.allow-two)"
        )
    # From the operating system: a bank that is asked for the model again, in another study, has other pads.
    made = Secrets(private=os.urandom(KEY), group=os.urandom(KEY) if name == banks[0] else b"")
    session.keep(made)
    told = PadKeys(public=Keys.public_of(made.private), group=made.group, schema=_digest(schema))
    return Started({other: Letter.of(told) for other in banks if other != name})


def agreed(session: Session, keys: Mapping[str, Letter[PadKeys]], schema: Schema) -> Pads:
    """The pads of the first sum, by the keys that the bank has made and those that the others have told it."""
    banks, name, made = banks_of(session), session.declaration.name, session.state(Secrets)
    told = {other: letter.read(PadKeys) for other, letter in keys.items()}
    if told.keys() != set(banks) - {name}:
        raise ProtocolError(f"the keys of {', '.join(banks)} are needed, and those of {', '.join(told)} came")
    digest = _digest(schema)
    for other, of_other in told.items():
        if of_other.schema != digest:
            raise ProtocolError(
                f"{other} declares other columns, levels or special values, or these in another order; banks that "
                "train together declare the same in their party.toml"
            )
    group = made.group or told[banks[0]].group
    if len(group) != KEY:
        raise ProtocolError(f"{banks[0]} has told no group key")
    public = {other: of_other.public for other, of_other in told.items()}
    use = Use(
        study=session.envelope.study,
        model=session.envelope.model,
        step=session.envelope.step,
        banks={**public, name: Keys.public_of(made.private)},
    )
    return Pads(Keys(bank=name, private=made.private, group=group), use)


def banks_of(session: Session) -> tuple[str, ...]:
    """The banks of the study, sorted. Raises ProtocolError unless they have met, and are among themselves."""
    if not session.study.has(Partners):
        raise ProtocolError("the banks of the study have not met")
    partners = session.study.read(Partners)
    if len(partners.label_holders) < 2:
        raise ProtocolError(
            "this is asked in the study of several banks, not in that of one with its partners"
        )
    return tuple(sorted(partners.label_holders))


def _digest(schema: Schema) -> str:
    return hashlib.sha256(encode(schema)).hexdigest()
