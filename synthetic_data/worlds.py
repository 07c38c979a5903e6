"""The worlds: variants of one economy, each of which switches off or worsens a single thing.

A world in which federation always wins proves nothing, so three of them take the risk signal out of the
partners' records; the others take away contagion or let the last vintages fall into a downturn.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from fl.errors import ConfigError


@dataclass(frozen=True)
class World:
    """What distinguishes one world from another.

    Attributes:
        name: as given on the command line.
        tax_signal: the tax bureau's records are those of the business itself. If not, they are those of
            another
            applicant of the same vintage, sector and size class: the same marginal look, but no information.
        supply_signal: the same for the supply-chain platform.
        utility_signal: the same for the utility.
        contagion: late payment and failure of customers within the population reach their suppliers.
        downturn: fall of log demand when the out-of-time vintages' performance windows open (0: none).
    """

    name: str
    tax_signal: bool = True
    supply_signal: bool = True
    utility_signal: bool = True
    contagion: bool = True
    downturn: float = 0.0


WORLDS: dict[str, World] = {
    world.name: world
    for world in (
        World("base"),
        World("no-tax-signal", tax_signal=False),
        World("no-supply-signal", supply_signal=False),
        World("no-partner-signal", tax_signal=False, supply_signal=False, utility_signal=False),
        World("no-contagion", contagion=False),
        World("recession", downturn=0.35),
    )
}


def world_named(name: str) -> World:
    """Return the world of that name.

    Raises:
        ConfigError: there is none; the message lists the worlds and suggests the nearest.
    """
    if name in WORLDS:
        return WORLDS[name]
    near = difflib.get_close_matches(name, WORLDS, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ConfigError(f"There is no world {name!r}.{hint} The worlds are: {', '.join(WORLDS)}.")
