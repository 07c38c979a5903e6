"""What the people of each party do before their first study: keys, and the keys of their partners in `party.toml`.

In a trial on one machine nobody has to be telephoned, so this is done here for whoever has not done it. What a party
has stays as it is. Its policy is its own to write: without one, the defaults of a deployed party bind it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import tomli_w

from clients.data.declaration import FILE_NAME as DECLARATION
from clients.data.declaration import Declaration, read_declaration, read_toml
from clients.identity import FILE_NAME as IDENTITY
from clients.identity import make_identity, read_identity


def prepare_parties(folders: Sequence[Path]) -> Iterator[str]:
    """Prepare the parties with these folders for a federation of their own; a sentence on everything that it did.

    Raises DataError when a declaration or keys cannot be read.
    """
    for folder in folders:
        if make_identity(folder):
            yield f"{folder.name}: made private keys, as `siloscore keys` does ({IDENTITY})."
    declared = {folder: read_declaration(folder) for folder in folders}
    keys = {about.name: read_identity(folder).public.text for folder, about in declared.items()}
    for folder, about in declared.items():
        partners = {name: key for name, key in keys.items() if name != about.name}
        if "partners" not in read_toml(folder / DECLARATION):
            _append_partners(folder / DECLARATION, partners)
            yield f"{folder.name}: pinned the keys of {', '.join(partners)} ([partners] in {DECLARATION})."
        else:
            yield from _unlike(folder, about, partners)


def _append_partners(declaration: Path, partners: dict[str, str]) -> None:
    """Add the table at the end of the file, whose other lines and comments stay."""
    text = declaration.read_text("utf-8").rstrip("\n")
    draft = declaration.with_name(f".{declaration.name}.new")
    draft.write_text(f"{text}\n\n{tomli_w.dumps({'partners': partners})}", "utf-8")
    draft.replace(declaration)


def _unlike(folder: Path, about: Declaration, partners: dict[str, str]) -> Iterator[str]:
    for name, key in partners.items():
        if about.partners.get(name) != key:
            how = "another key" if name in about.partners else "no key"
            yield (
                f"{folder.name}: its {DECLARATION} has {how} of {name} under [partners], and it stays; it refuses "
                f"studies with {name} until that is the key that `siloscore keys` prints for {name}."
            )
