"""Writes a dataset: the records of each party, month by month, and a note of how they were made.

The folder appears whole or not at all: everything is written into a temporary sibling, which is renamed at
the end.
"""

from __future__ import annotations

import difflib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fl.errors import ConfigError
from synthetic_data import calendar
from synthetic_data.bank_records import BankRecords, SecondBankRecords, applications
from synthetic_data.banks import Banks
from synthetic_data.digests import digests
from synthetic_data.economy import Economy
from synthetic_data.observer import Observer, look
from synthetic_data.roster import Book, Roster, book, rehearse
from synthetic_data.supply_chain_records import SupplyChainRecords
from synthetic_data.tax_records import TaxRecords
from synthetic_data.truth import Truth
from synthetic_data.utility_records import UtilityRecords, on_grid
from synthetic_data.worlds import World, world_named

PARTIES = ("bank", "tax", "supply_chain", "utility")
"""Whose records can be written."""
STANDARD = PARTIES[:3]
"""Whose records are written unless told otherwise."""
MINIMUM_TENURE = 3
"""Months of records from which on a business counts as known to the platform."""

ONE_BANK = Banks()
"""The bank of an economy with one."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, the steps done and the steps in all."""


def generate(
    out: Path,
    businesses: int,
    world: str,
    seed: int,
    truth: bool,
    progress: Progress | None = None,
    parties: tuple[str, ...] = STANDARD,
    banks: Banks = ONE_BANK,
) -> None:
    """Generate a dataset of a synthetic economy.

    The same arguments give the same data on every machine (`arithmetic`), and `dataset.toml` holds a digest of each
    file. A party's records depend neither on ``truth`` nor on who else is among the ``parties``. Several ``banks``
    have the customers of the one bank among them, and change no record of the other parties.

    Args:
        out: folder to create; it may exist if it is empty.
        businesses: number of applicants; the simulated population is larger.
        world: name of a world in `worlds.WORLDS`.
        seed: of the whole economy, not negative.
        truth: whether to estimate each applicant's true probability of default, from many futures.
        progress: called with a label, the steps done and the steps in all.
        parties: whose records to write, some of ``PARTIES`` and the bank (which stands for all banks) among them.
        banks: the economy's banks.

    Raises:
        ConfigError: unknown world or party, no bank, fewer than 100 businesses, too few for one of the banks, a
            negative seed, or ``out`` is not empty.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     generate(Path(folder, "small"), businesses=100, world="base", seed=1, truth=False)
    ...     sorted(path.name for path in Path(folder, "small").iterdir())
    ['bank', 'dataset.toml', 'supply_chain', 'tax', 'truth']
    """
    chosen = world_named(world)
    if businesses < 100:
        raise ConfigError(f"An economy needs at least 100 applicants; {businesses} were asked for.")
    if seed < 0:
        raise ConfigError(f"The seed has to be 0 or more; it is {seed}.")
    _check_parties(parties)
    banks.check_applicants(businesses)
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is not empty. Choose another folder, or remove it first.")
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        _write(temporary, businesses, chosen, seed, truth, progress or (lambda *_: None), parties, banks)
        temporary.chmod(0o755)
        if out.exists():
            out.rmdir()
        temporary.rename(out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _check_parties(parties: tuple[str, ...]) -> None:
    for name in parties:
        if name not in PARTIES:
            near = difflib.get_close_matches(name, PARTIES, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"The economy has no party {name!r}.{hint} It has: {', '.join(PARTIES)}.")
    if "bank" not in parties or len(set(parties)) < len(parties):
        raise ConfigError(
            f"The parties must be distinct and include the bank; they are {', '.join(parties)}."
        )


def _write(
    folder: Path,
    businesses: int,
    world: World,
    seed: int,
    truth: bool,
    progress: Progress,
    parties: tuple[str, ...],
    banks: Banks,
) -> None:
    # One stream for each purpose: what one of them draws changes nothing for the others.
    economy, naming, books, bank, tax, supply, futures, utility, several = np.random.SeedSequence(seed).spawn(
        9
    )

    def replay() -> Economy:
        # A fresh copy of the seed, since spawning from it counts.
        return Economy(
            businesses, world, np.random.SeedSequence(economy.entropy, spawn_key=economy.spawn_key)
        )

    months = calendar.LAST_MONTH - calendar.FIRST_MONTH + 1
    done = iter(range(1, months + 1))
    roster = rehearse(
        replay(),
        np.random.default_rng(naming),
        lambda: progress("Rehearsing the economy", next(done), months),
    )
    bank_book, tax_book, supply_book = _books(roster, world, np.random.default_rng(books))
    known, own = (np.random.default_rng(seeds) for seeds in utility.spawn(2))
    utility_book = book(roster, on_grid(roster, known), world.utility_signal, known)
    choice, second = (np.random.default_rng(seeds) for seeds in several.spawn(2))
    customers = banks.choose(roster, choice)
    first_accounts = BankRecords(roster, bank_book, np.random.default_rng(bank), banks, customers.first)
    everyone: tuple[Observer, ...] = (
        first_accounts,
        *([SecondBankRecords(first_accounts, customers, second)] if len(banks) > 1 else []),
        TaxRecords(roster, tax_book, np.random.default_rng(tax)),
        SupplyChainRecords(roster, supply_book, np.random.default_rng(supply)),
        UtilityRecords(roster, utility_book, own),
    )
    observers = [observer for observer in everyone if observer.folder in parties]
    last = calendar.LAST_OBSERVATION + calendar.AFTERMATH
    codes = pa.array(roster.code)
    others = [name for name in PARTIES[1:] if name in parties]
    for name in (*banks.names, *others, "truth"):
        (folder / name).mkdir()
    with Truth(roster, futures, with_futures=truth) as estimate, Tables(folder) as tables:
        for present in replay().months():
            if present.month > last:
                break
            if present.month > calendar.LAST_OBSERVATION - calendar.VINTAGES + 1 - calendar.HISTORY:
                for observer in observers:
                    scene = look(present, roster, observer.book)
                    for path, (rows, columns) in observer.files(scene).items():
                        tables.append(path, codes.take(pa.array(rows)), present.month, columns)
            estimate.observe(present)
            progress(
                "Keeping the books", present.month - calendar.FIRST_MONTH + 1, last - calendar.FIRST_MONTH + 1
            )
        hidden = estimate.table(progress)
    applied = applications(roster)
    bank_of = np.asarray(banks.names)[customers.first[roster.applicant]]
    for name in banks.names:
        applied[bank_of == name].to_parquet(folder / name / "applications.parquet", index=False)
    if len(banks) > 1:
        hidden.insert(2, "bank", bank_of)
    hidden.to_parquet(folder / "truth" / "applicants.parquet", index=False)
    _note(folder, businesses, world, seed, truth, [*banks.names, *others], banks)


def _books(roster: Roster, world: World, rng: np.random.Generator) -> tuple[Book, Book, Book]:
    """Whom bank, tax bureau and platform know."""
    rows = np.arange(len(roster))
    on_platform = roster.firms.platform & (roster.observed - roster.firms.joined >= MINIMUM_TENURE)
    return (
        Book(known=roster.applicant, source=rows),
        book(roster, roster.firms.tax_known, world.tax_signal, rng),
        book(roster, on_platform, world.supply_signal, rng),
    )


def _note(
    folder: Path, businesses: int, world: World, seed: int, truth: bool, parties: list[str], banks: Banks
) -> None:
    first, last = (np.datetime64(m, "M") for m in (calendar.FIRST_OBSERVATION, calendar.LAST_OBSERVATION))
    name, division = f"{world.name}-{businesses}-{seed}", ""
    if len(banks) > 1:
        name += f"-{len(banks)}-banks"
        division = (
            "# Share of the applicants of each bank, and by what firms choose theirs\n[banks]\n"
            f"names = {json.dumps(banks.names)}\nshares = {json.dumps(banks.shares)}\n"
            f'skew = "{banks.skew}"\n\n'
        )
    (folder / "dataset.toml").write_text(
        f'name = "{name}"\n'
        f'generator = "synthetic_data"\nworld = "{world.name}"\nseed = {seed}\nbusinesses = {businesses}\n'
        f"truth = {str(truth).lower()}\n"
        f'first_observation_month = "{first}"\nlast_observation_month = "{last}"\n'
        f"performance_window = {calendar.PERFORMANCE_WINDOW}\n"
        f"parties = {json.dumps(parties)}\n\n{division}"
        "# SHA-256 of what each file says (synthetic_data/digests.py): the same on every machine\n[files]\n"
        + "".join(f'"{path}" = "{digest}"\n' for path, digest in digests(folder).items()),
        encoding="utf-8",
    )


class Tables:
    """Parquet files to which months are appended, so that memory holds one month at a time."""

    def __init__(self, folder: Path) -> None:
        """Tables in ``folder``, none of them open yet."""
        self.folder = folder
        self.writers: dict[str, pq.ParquetWriter] = {}

    def append(self, name: str, ids: pa.Array, month: int, columns: dict[str, np.ndarray]) -> None:
        """Write one month of one table as a row group."""
        stamp = calendar.timestamps(np.full(len(ids), month))
        table = pa.table({"business_id": ids, "month": stamp, **columns})
        if name not in self.writers:
            self.writers[name] = pq.ParquetWriter(self.folder / f"{name}.parquet", table.schema)
        if len(ids):
            self.writers[name].write_table(table)

    def __enter__(self) -> Tables:
        """Open; files are created as tables appear."""
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close all files."""
        for writer in self.writers.values():
            writer.close()
