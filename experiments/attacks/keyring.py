"""The private keys of all parties of a run on this machine: an attack reads by them what one of the parties reads.

An attack is played on what a party or the coordinator receives. A party can open what it receives, so the attacks are
given open letters; what the coordinator receives stays sealed.
"""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from clients.data.declaration import read_declaration
from clients.identity import FILE_NAME, read_identity
from clients.session import state_folder
from fl.config.run import RunConfig
from fl.messages import Letter, LetterField, with_letters
from fl.records import Record
from fl.seals import Context, Identity, unseal


@dataclass(frozen=True)
class Keyring:
    """What opens the letters of a run's parties."""

    config: RunConfig

    @cached_property
    def identities(self) -> dict[str, Identity]:
        """By the name of the party."""
        folders = [self.config.data_folder / party for party in self.config.parties]
        return {
            read_declaration(folder).name: read_identity(
                folder if (folder / FILE_NAME).exists() else state_folder(self.config, folder)
            )
            for folder in folders
        }

    def opened(self, message: Record, study: str = "") -> Record:
        """A request or a reply with open letters; study is that of a bank in the run's, if it has several."""
        return with_letters(message, partial(self._open, study or self.config.study))

    def read(self, letter: Letter[Any], kind: type[Record]) -> Record:
        """What a letter says."""
        return self._unseal(self.config.study, letter, f"{kind.__module__}.{kind.__qualname__}").read(kind)

    def _open(self, study: str, letter: Letter[Any], declared: LetterField, _: str) -> Letter[Any]:
        # In a federation of one party, its letters to the others have no reader.
        return self._unseal(study, letter, declared.kind) if letter.keys else letter

    def _unseal(self, study: str, letter: Letter[Any], kind: str) -> Letter[Any]:
        receiver = next(name for name in letter.keys if name in self.identities)
        context = Context(
            study=study,
            model=letter.model,
            step=letter.step,
            settings=self.config.digest,
            sender=letter.sender,
            kind=kind,
        )
        return unseal(letter, context, receiver, self.identities[receiver])
