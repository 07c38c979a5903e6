from hypothesis import given
from hypothesis import strategies as st

from fl.seeds import generator

seeds = st.integers(0, 2**32 - 1)


@given(seed=seeds, purpose=st.lists(st.text(), max_size=3))
def test_equal_arguments_give_equal_streams(seed: int, purpose: list[str]) -> None:
    assert generator(seed, *purpose).integers(2**63) == generator(seed, *purpose).integers(2**63)


def test_every_purpose_and_every_seed_has_a_stream_of_its_own() -> None:
    uses = [
        (1,),
        (2,),
        (1, "bottom"),
        (1, "bottom", "tax"),
        (1, "bottom", "bank"),
        (1, "bottomtax"),
        (1, "tax", "bottom"),
        (1, "税务"),
    ]

    first = [generator(seed, *purpose).integers(2**63) for seed, *purpose in uses]

    assert len(set(first)) == len(uses)
