"""Attacks of those who depart from the protocol: what is refused, and that it succeeds where nothing defends."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clients.data.declaration import read_declaration, write_declaration
from clients.identity import make_identity, read_identity
from experiments.attacks.active import ActiveAttack, By, Outcome, play_active
from experiments.attacks.alignment import guessed_ids
from experiments.attacks.boosting import any_bins, reverse_sum
from experiments.attacks.network import old_embeddings, single_rows
from experiments.attacks.registry import find
from experiments.attacks.scorecard import openings, other_store
from experiments.dataset import open_dataset
from fl.config.boosting import BoostingConfig
from fl.config.run import TrainingConfig
from fl.config.scorecard import ScorecardConfig
from server.progress import ignore

pytestmark = pytest.mark.slow

UNSIGNED = "is not signed by it"
REFUSED = {
    any_bins.FORGED: UNSIGNED,
    guessed_ids.FORGED: UNSIGNED,
    openings.MADE_UP: UNSIGNED,
    any_bins.OWN: "has been offered",
    guessed_ids.AGAIN: "keeps no state under the name",
    single_rows.LOSSES: "must be 64 or more",
    old_embeddings.REPLAY: "came after one of step",
    other_store.COUNTS: "belongs to the conversation boosting",
}
"""What is closed, and by which words it is refused."""
YIELDS = {
    openings.ROWS: 1,
    reverse_sum.REVERSE_SUM: 1,
    guessed_ids.IMPOSTOR: 1,
    guessed_ids.OWN: 1,
}
"""What is open, and which share of what is got is right at least."""


@pytest.fixture(scope="module")
def config(make_tables: Callable[..., Path]) -> TrainingConfig:
    data = make_tables(("tax",))
    made = TrainingConfig(data=str(data), parties=open_dataset(data).parties)
    scorecard = ScorecardConfig(bins=5, min_group=5, max_p=1.0, encryption="plain")
    return made.with_section(scorecard).with_section(BoostingConfig(encryption="plain", bins=8))


@pytest.fixture(scope="module")
def outcomes(config: TrainingConfig) -> dict[ActiveAttack, Outcome]:
    """Of every attack that there is."""
    return {outcome.attack: outcome for outcome in play_active(find(ActiveAttack), config, "", ignore)}


def test_every_attack_is_refused_or_measured() -> None:
    assert {attack.by for attack in find(ActiveAttack)} == set(By)
    assert set(find(ActiveAttack)) == REFUSED.keys() | YIELDS.keys()


@pytest.mark.parametrize("attack", REFUSED, ids=lambda attack: f"{attack.title}, {attack.by.value}")
def test_what_is_closed_is_refused_in_a_sentence(
    outcomes: dict[ActiveAttack, Outcome], attack: ActiveAttack
) -> None:
    assert outcomes[attack].refused
    assert REFUSED[attack] in outcomes[attack].text


@pytest.mark.parametrize("attack", YIELDS, ids=lambda attack: f"{attack.title}, {attack.by.value}")
def test_what_is_open_gives_what_is_true(outcomes: dict[ActiveAttack, Outcome], attack: ActiveAttack) -> None:
    outcome = outcomes[attack]
    assert not outcome.refused, outcome.text
    right, total = (int(word.replace(",", "")) for word in re.findall(r"[\d,]+", outcome.text)[:2])
    assert right >= YIELDS[attack] * total > 0


def test_without_signatures_forged_letters_are_obeyed(
    config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clients.post.verify", lambda letter, context, sender: None)
    monkeypatch.setattr("clients.post.is_head_of", lambda head, party: True)

    forged, made_up = play_active([any_bins.FORGED, guessed_ids.FORGED], config, "", ignore)

    # The splits are obeyed as far as they were offered, and what comes back is sealed to others all the same.
    assert "has been offered" in forged.text
    assert made_up.text == "refused: the letter of tax is sealed to bank"


def test_with_keys_in_party_toml_nobody_introduces_itself_as_the_bank(
    make_tables: Callable[..., Path],
) -> None:
    data = make_tables(("tax",))
    config = TrainingConfig(data=str(data), parties=open_dataset(data).parties)
    for name in config.parties:
        make_identity(data / name)
    keys = {name: read_identity(data / name).public.text for name in config.parties}
    for name in config.parties:
        partners = {other: key for other, key in keys.items() if other != name}
        write_declaration(data / name, replace(read_declaration(data / name), partners=partners))

    (outcome,) = play_active([guessed_ids.IMPOSTOR], config, "", ignore)

    assert outcome.refused
    assert "its party.toml names the partners" in outcome.text


def test_marks_of_rows_are_read_from_sums() -> None:
    rng = np.random.default_rng(1)
    values, bins = rng.integers(-1_000, 1_000, (50, 2)), rng.integers(0, 4, 50)

    crafted, marked = reverse_sum.mark(values, np.arange(50), digits=5)

    sums = np.stack([crafted[bins == bin_].sum(axis=0) for bin_ in range(3)])
    assert marked.size == 10
    np.testing.assert_array_equal(reverse_sum.read_marks(sums, marked, 5), bins[marked.ravel()])
    assert np.abs(crafted - values).max() < 1 << 5
