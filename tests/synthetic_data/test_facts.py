"""The table of public facts. `test_measurements` compares the economy with it."""

from synthetic_data.facts import FACTS


def test_every_target_lies_in_its_range_and_has_a_source() -> None:
    assert all(fact.low <= fact.value <= fact.high and fact.source for fact in FACTS)


def test_names_are_unique() -> None:
    assert len({fact.name for fact in FACTS}) == len(FACTS)
