"""Every attack that there is, found by where it is defined: no list names them.

An attack is an object of class `Attack` or `ActiveAttack` at the top of a module within `experiments/attacks/`. Those
of another distribution stand in modules that its entry points of the group `siloscore.attacks` name.
"""

from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import walk_packages
from typing import TypeVar

from experiments import attacks

ENTRY_POINT_GROUP = "siloscore.attacks"
Kind = TypeVar("Kind")


def find(kind: type[Kind]) -> list[Kind]:
    """All attacks of a class, in the order of their modules' names."""
    names = [module.name for module in walk_packages(attacks.__path__, f"{attacks.__name__}.")]
    modules = [import_module(name) for name in names]
    modules += [point.load() for point in entry_points(group=ENTRY_POINT_GROUP)]
    every = [value for module in modules for value in vars(module).values() if isinstance(value, kind)]
    # One that another module imports stands there as well.
    return list({id(attack): attack for attack in every}.values())
