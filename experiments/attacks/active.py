"""Attacks of those who depart from the protocol: requests that no honest coordinator sends, to parties that are honest.

An attacker is whoever sends the requests, alone or in the name of one of the parties, whose keys it then has. Letters
that it makes up are signed by these keys; in the name of any other party it can only sign by keys of its own making. It
reads a letter only if that is sealed to its keys. So the attack of a coordinator and that of a lying bank are often the
same requests, and the difference is what signatures achieve.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

from clients.data.declaration import read_declaration
from clients.session import state_folder
from clients.store import Store
from experiments.attacks.keyring import Keyring
from experiments.attacks.recording import chosen
from experiments.backends.inline import InlineGrid
from experiments.joined import Joined, read_joined
from fl.alignment import MeetRequest
from fl.config.run import TrainingConfig
from fl.errors import ConfigError, ProtocolError
from fl.handshake import Introduction
from fl.messages import Letter, LetterField, Reply, Request, with_letters
from fl.protocols import essential
from fl.records import Record
from fl.seals import Context, Identity, seal, sign_head, unseal
from fl.splits import Split, SplitRequest
from server.coordinator import connect
from server.exchange import Exchange, FederationError
from server.progress import Progress, Report
from server.roster import form_roster


class By(Enum):
    """Who attacks."""

    COORDINATOR = "coordinator"
    BANK = "bank"
    PASSIVE = "passive party"


@dataclass(frozen=True, kw_only=True, eq=False)
class ActiveAttack:
    """What somebody could get who departs from the protocol.

    finding  its number in the review; see docs/threat-model.md
    title    what is tried
    by       who tries it; where that is a party, the coordinator helps it
    play     carries it out, and says what it got; FederationError or ProtocolError when it is refused
    changed  the settings by which it is tried, from those of the run
    aligned  whether it is played in a study that is aligned; else in one of its own, which has not begun
    """

    finding: int
    title: str
    by: By
    play: Callable[["Stage"], str]
    changed: Callable[[TrainingConfig], TrainingConfig] = lambda config: config
    aligned: bool = True


@dataclass(frozen=True)
class Outcome:
    """What came of an attack, in words."""

    attack: ActiveAttack
    text: str
    refused: bool


class Stage:
    """A study in which somebody attacks: what it sees and can do, and the truth by which that is judged.

    victim is the passive party in play, and seed that of the models that are begun.
    """

    def __init__(self, config: TrainingConfig, party: str, by: By, seed: int = 1) -> None:
        self.config, self.victim, self.seed = config, party, seed
        self.exchange = Exchange(InlineGrid(config), config.study, config.party_timeout)
        described = self.exchange.connect(config.parties, config.connect_timeout)
        needed = [conversation for conversation in essential() if conversation.name != "scoring"]
        self.exchange.roster = form_roster(described, needed)
        self.holder = self.exchange.roster.holder
        self.introductions = self.exchange.roster.introductions
        own = {By.BANK: self.holder, By.PASSIVE: party}.get(by)
        impostor, real = Identity.new(), Keyring(config).identities
        self._identities = {name: real[name] if name == own else impostor for name in self.introductions}
        self._steps = count(1_000)

    def meet(self) -> None:
        """Begin the study at the victim, as an honest coordinator does."""
        self.exchange.ask({self.victim: MeetRequest(self.introductions)})

    @cached_property
    def split(self) -> Letter[Split]:
        """The split of the rows, as the bank tells it."""
        return self.exchange.ask_holder(SplitRequest(self.seed), f"splits/{self.seed}").split

    @cached_property
    def joined(self) -> Joined:
        """The truth."""
        return read_joined(self.config, self.config.parties[0])

    def model(self, contender: str) -> str:
        """The name of a model."""
        return f"{contender}/{self.seed}"

    def store(self, party: str, model: str) -> Store:
        """What a party keeps of a model, or by an empty name of the study: the truth."""
        return Store(state_folder(self.config, self.folder(party)) / self.config.study / model)

    def folder(self, party: str) -> Path:
        """Where the data of a party are."""
        folders = [self.config.data_folder / name for name in self.config.parties]
        return next(folder for folder in folders if read_declaration(folder).name == party)

    def impostor(self, party: str) -> Introduction:
        """How the attacker introduces itself as another party, by its own keys."""
        keys = self._identities[party].public
        posed = replace(self.introductions[party], sealing=keys.sealing, signing=keys.signing)
        return posed.signed_by(self._identities[party])

    def ask(self, party: str, request: Request[Reply], model: str = "") -> Reply:
        """Ask a party, with every open letter of the request sealed in the name of its sender.

        FederationError when it refuses.
        """
        receivers = {name: one.keys for name, one in self.introductions.items()}

        def close(letter: Letter[Any], declared: LetterField, name: str) -> Letter[Any]:
            if letter.sender:
                return letter
            context = self._context(name or self.holder, model, next(self._steps), declared.kind)
            identity = self._identities[context.sender]
            head, encrypted = sign_head(0, "", identity), not declared.is_ciphertext
            return seal(letter, context, identity, receivers, head=head, encrypted=encrypted)

        return self.exchange.ask({party: with_letters(request, close)}, model)[party]

    def read(self, letter: Letter[Any], kind: type[Record]) -> Record:
        """What a letter says. ProtocolError where it is sealed to others than the attacker."""
        context = self._context(
            letter.sender, letter.model, letter.step, f"{kind.__module__}.{kind.__qualname__}"
        )
        for receiver in letter.keys:
            try:
                return unseal(letter, context, receiver, self._identities[receiver]).read(kind)
            except ProtocolError:
                continue
        raise ProtocolError(f"the letter of {letter.sender} is sealed to {' and '.join(letter.keys)}")

    def _context(self, sender: str, model: str, step: int, kind: str) -> Context:
        return Context(
            study=self.config.study,
            model=model,
            step=step,
            settings=self.config.digest,
            sender=sender,
            kind=kind,
        )


def play_active(
    attacks: Sequence[ActiveAttack], config: TrainingConfig, party: str, report: Report
) -> list[Outcome]:
    """Carry out attacks on a passive party (default: the first) and on the bank, each on other models or in a study.

    Raises ConfigError when the federation has no such passive party, and what a run raises when it fails.
    """
    party, outcomes = chosen(config, party, passive=True), []
    with tempfile.TemporaryDirectory(prefix="siloscore-") as folder:
        config = replace(config, state=folder, study="attack")
        connect(InlineGrid(config), config, report)
        for seed, attack in enumerate(attacks, start=1):
            study = config.study if attack.aligned else f"attack-{seed}"
            try:
                stage = Stage(replace(attack.changed(config), study=study), party, attack.by, seed)
                outcomes.append(Outcome(attack, attack.play(stage), refused=False))
            except (ConfigError, FederationError, ProtocolError) as error:
                outcomes.append(Outcome(attack, f"refused: {error}", refused=True))
    report(Progress("done"))
    return outcomes
