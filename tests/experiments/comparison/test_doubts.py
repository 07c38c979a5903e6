import numpy as np
import pytest

from experiments.comparison.doubts import doubt

NOBODY, SOME = np.zeros(4, bool), np.array([True, False, False, False])


@pytest.mark.parametrize(
    ("contender", "reason"),
    [
        ("federated-boosting", "none of its trees has a split; look at boosting.min-leaf-count"),
        ("pooled-trees", "none of its trees has a split; there are too few rows"),
        ("bank-only-scorecard", "none of its columns has points; look at scorecard.min-iv"),
        ("federated-network", "look at its columns and settings"),
    ],
)
def test_a_model_that_tells_nobody_apart_is_named_with_the_reason(contender: str, reason: str) -> None:
    assert doubt(contender, np.full(4, 0.2), NOBODY).startswith(
        f"{contender} predicts the same for everyone: {reason}"
    )


def test_rows_in_which_the_reserve_model_has_a_say_do_not_hide_it() -> None:
    pds = np.array([0.5, 0.2, 0.2, 0.2])
    said = doubt("federated-boosting", pds, SOME)
    assert said.startswith(
        "federated-boosting predicts the same for everyone whom a passive party knows: none of"
    )
    assert doubt("federated-boosting", pds, NOBODY) == ""


def test_where_no_passive_party_knows_anybody_all_rows_count() -> None:
    assert doubt("bank-only-network", np.array([0.1, 0.2]), np.ones(2, bool)) == ""
