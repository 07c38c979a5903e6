"""A recorded run of several banks: what each of them hears of every sum, and what the coordinator is shown.

Runs are over secure sums, on the inline backend as all recorded runs; passive parties have no part in them. A bank can
take its own addend off every total, and has what the others have added. The coordinator has what the banks show.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from clients.banks import Summing, schema_of
from clients.data.declaration import read_declaration
from clients.store import Store
from experiments.attacks import recording
from experiments.attacks.recording import chosen
from experiments.backends.inline import InlineGrid
from experiments.joined import bank_study, pooled, read_joined, read_roles
from fl.banks import Added, AddRequest, BeginRequest
from fl.banks.grid import Schema
from fl.banks.program import Program, Rows
from fl.banks.programs import PROGRAMS, program_of
from fl.config.banks import BanksConfig
from fl.config.run import TrainingConfig
from fl.protocols import conversation_of
from fl.records import decode
from fl.splits import in_all
from server.coordinator import assign_roles, connect
from server.progress import Report
from server.training import OfBanks, Trainer, Training

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Heard:
    """A sum of the training as a bank hears it, int64 (k,): the total of all banks, and what the others have in it."""

    total: Integers
    others: Integers


class Tap(recording.Tap):
    """Keeps, too, what a bank keeps between two sums."""

    kept = (BeginRequest, AddRequest)

    def note(self, model: Store, messages: list[Any]) -> None:
        """Add the keys that take the pads off the next total, and the state of the program."""
        messages.append(decode(Summing, model.last().state))


@dataclass(frozen=True, kw_only=True)
class Recording(recording.Recording):
    """One model of several banks; banks has the rows of each, and schema is what they declare alike."""

    tap = Tap
    banks: dict[str, Rows]
    schema: Schema

    @classmethod
    def of_run(cls, name: str, seed: int, tap: recording.Tap, report: Report) -> Self:
        """Train under one seed, behind the tap."""
        trainer, config = cast(Trainer, conversation_of(cls.contender).half("server")), tap.config
        federation = connect(InlineGrid(config, tap), config, report)
        assigned = {bank: assign_roles(part, seed) for bank, part in federation.vertical.items()}
        training = Training(
            contender=cls.contender,
            seed=seed,
            assigned=in_all(assigned.values()),
            config=config,
            on_progress=report,
            of_banks=assigned,
        )
        evaluation = cast(OfBanks, trainer.train(federation.exchange, training)).whole
        folders = {read_declaration(config.data_folder / folder).name: folder for folder in config.parties}
        studies = {bank: bank_study(config, folders[bank], ()) for bank in assigned}
        joined = {bank: read_joined(study, folders[bank]) for bank, study in studies.items()}
        rows = {
            bank: Rows(
                name=bank,
                table=of_bank.tables[bank],
                labels=of_bank.labels,
                roles=read_roles(studies[bank], folders[bank], seed),
                signs=of_bank.signs(bank),
                segments={},
            )
            for bank, of_bank in joined.items()
        }
        first = next(iter(assigned))
        return cls(
            name=name,
            seed=seed,
            config=config,
            messages=tap.messages,
            joined=pooled(joined),
            roles=np.concatenate([of_bank.roles for of_bank in rows.values()]),
            evaluation=evaluation,
            banks=rows,
            schema=schema_of(read_declaration(config.data_folder / folders[first]), rows[first].table),
        )

    @classmethod
    def of_runs(cls, config: TrainingConfig, report: Report, variants: Any) -> Iterator[Self]:
        """As for all recordings, among the banks alone."""
        banks = tuple(
            name for name in config.parties if read_declaration(config.data_folder / name).label is not None
        )
        allowed = config.with_section(BanksConfig(allow_two=True))
        yield from super().of_runs(replace(allowed, parties=banks), report, variants)

    @classmethod
    def attacker(cls, config: TrainingConfig, party: str) -> str:
        """The bank of that name, or the first one."""
        return chosen(config, party, passive=False)

    @classmethod
    def settings_of(cls, config: TrainingConfig) -> Any:
        """The section of the program's settings."""
        return config.section(PROGRAMS[cls.contender].settings)

    @property
    def program(self) -> Program[Any]:
        """What all banks have run."""
        return program_of(self.contender, self.config, self.seed, self.schema, len(self.banks))

    def others(self, bank: str) -> list[Rows]:
        """The rows of all banks but one."""
        return [rows for name, rows in self.banks.items() if name != bank]

    def together(self, bank: str) -> Rows:
        """The same in one, one bank after the other."""
        every = np.arange(len(self.roles))
        places = np.concatenate([every[block] for name, block in self.joined.blocks.items() if name != bank])
        return replace(
            self.banks[bank],
            name="others",
            table=self.joined.tables[self.joined.holder].take(places),
            labels=self.joined.labels[places],
            roles=self.roles[places],
        )

    def heard(self, bank: str) -> list[Heard]:
        """Every sum of the training, not those of the evaluation, as a bank hears it."""
        heard, notes = list[Heard](), self.received(Summing, bank)
        replies, requests = self.received(Added, bank), self.received(AddRequest, bank)
        for before, reply, request in zip(notes, replies, requests, strict=False):
            if before.log_odds is None:
                total, _ = before.pads.read(request.total)
                # What the pads leave of nothing is the pads; the last number is a check.
                pads = before.pads.shown(np.zeros(len(total), np.int64))
                heard.append(Heard(total=total, others=total - (reply.shown - pads)[:-1].view(np.int64)))
        return heard

    def shown(self) -> list[dict[str, NDArray[np.uint64]]]:
        """What the coordinator is shown in every sum, uint64 (k + 1,) by bank."""
        replies = {bank: self.received(Added, bank) for bank in self.banks}
        return [
            dict(zip(replies, (reply.shown for reply in step), strict=True))
            for step in zip(*replies.values(), strict=True)
        ]

    def addends(self, bank: str) -> Sequence[Integers]:
        """What a bank has added in every sum of the training, as nobody else may know it."""
        return [one.total - one.others for one in self.heard(bank)]
