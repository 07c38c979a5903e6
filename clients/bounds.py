"""How a rule of a party's policy (`clients/policy.py`) bounds what a run asks."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fl.messages import Content


class Bound(NamedTuple):
    """How a rule bounds what is asked.

    words     what is allowed, in words that follow "it allows"
    keeps     whether what is asked keeps to what is allowed
    settings  those of a run that it bounds, such as `boosting.trees`; a section's only where its conversation is held
    form      the form in which columns leave, if it bounds their grades
    """

    words: Callable[[Any], str]
    keeps: Callable[[Any, Any], bool]
    settings: tuple[str, ...] = ()
    form: Content | None = None


def most(words: str, *settings: str, form: Content | None = None) -> Bound:
    """At most so much; `{}` in the words stands for the number."""
    return Bound(words.format, lambda asked, allowed: asked <= allowed, settings, form)


def least(words: str, *settings: str) -> Bound:
    """At least so much."""
    return Bound(words.format, lambda asked, allowed: asked >= allowed, settings)


def noise(words: str, *settings: str) -> Bound:
    """A privacy budget of at most so much; 0 asks for no noise at all, which is no budget."""
    return Bound(words.format, lambda asked, allowed: 0 < asked <= allowed, settings)


def among(words: str, *settings: str) -> Bound:
    """One of these."""
    return Bound(
        lambda allowed: words.format(", ".join(allowed) or "none"),
        lambda asked, allowed: asked in allowed,
        settings,
    )


def files(words: str) -> Bound:
    """Files in these folders, or of these patterns; `clients.policy.Policy.require_file` says whether one is."""
    return Bound(
        lambda allowed: words.format(
            " and ".join("its own folder" if one == "." else one for one in allowed)
        ),
        lambda asked, allowed: False,
    )


def exactly(words: Mapping[Any, str], always: object, *settings: str) -> Bound:
    """This, or what is `always` allowed."""
    return Bound(words.__getitem__, lambda asked, allowed: asked in (allowed, always), settings)
