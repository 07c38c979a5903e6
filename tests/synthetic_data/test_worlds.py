"""The worlds by name."""

import pytest

from synthetic_data.worlds import WORLDS, world_named


def test_a_world_is_found_by_its_name() -> None:
    assert {name: world_named(name).name for name in WORLDS} == {name: name for name in WORLDS}


def test_an_unknown_world_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no world 'recesion'.*'recession'.*no-contagion"):
        world_named("recesion")
