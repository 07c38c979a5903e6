import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from fl.config.network import NetworkConfig
from fl.network import is_look, training_batches
from fl.network.defence import defend, secret_normal
from fl.network.models import (
    Bottom,
    Part,
    PartState,
    Top,
    backward,
    backward_embeddings,
    embed,
    learning_rate,
    new_bottom,
    new_top,
    predict,
)
from fl.records import decode, encode
from fl.splits import TEST, TRAIN, VALIDATION

CONFIG = NetworkConfig(batch_size=64, batches=20, embedding=3, top=4, learning_rate=0.05, weight_decay=0.1)
ROWS, INPUTS, PASSIVE = 12, (4, 3, 2), ("tax", "supply_chain")


@pytest.fixture
def batch() -> dict:
    rng = np.random.default_rng(0)
    return {
        "inputs": [rng.normal(size=(ROWS, width)).astype(np.float32) for width in INPUTS],
        "present": rng.random((ROWS, len(PASSIVE))) < 0.7,
        "labels": (rng.random(ROWS) < 0.4).astype(np.int8),
    }


@pytest.fixture
def parts() -> tuple[list[Part], Part]:
    bottoms = [new_bottom(w, 1, name, CONFIG) for w, name in zip(INPUTS, ("bank", *PASSIVE), strict=True)]
    return bottoms, new_top(len(PASSIVE), 0.2, 1, CONFIG)


def joint_gradients(bottoms: list[Part], top: Part, batch: dict) -> tuple[list[np.ndarray], float]:
    """Every module's gradient and the loss, by autograd through the whole model at once."""
    modules = [*(part.module for part in bottoms), top.module]
    for module in modules:
        module.zero_grad()
    own, *others = (
        part.module(torch.from_numpy(x)) for part, x in zip(bottoms, batch["inputs"], strict=True)
    )
    logits = top.module(own, others, torch.from_numpy(batch["present"]))
    loss = nn.BCEWithLogitsLoss()(logits, torch.from_numpy(batch["labels"]).float())
    loss.backward()
    gradients = [gradient_of(module) for module in modules]
    for module in modules:
        module.zero_grad()
    return gradients, loss.item()


def gradient_of(module: nn.Module) -> np.ndarray:
    return np.concatenate([p.grad.flatten().numpy() for p in module.parameters()])


def test_gradients_across_the_cut_are_those_of_the_whole_model(
    batch: dict, parts: tuple[list[Part], Part]
) -> None:
    (bank, *passive), top = parts
    expected, expected_loss = joint_gradients([bank, *passive], top, batch)
    own, *others = batch["inputs"]

    cuts, loss = backward(
        bank,
        top,
        own,
        [embed(part, x) for part, x in zip(passive, others, strict=True)],
        batch["present"],
        batch["labels"],
    )
    for part, x, cut in zip(passive, others, cuts, strict=True):
        backward_embeddings(part, x, cut)

    assert loss == pytest.approx(expected_loss)
    for part, gradient in zip([bank, *passive, top], expected, strict=True):
        np.testing.assert_allclose(gradient_of(part.module), gradient, rtol=1e-5, atol=1e-7)


def test_gradients_at_the_cut_are_slopes_of_the_loss(batch: dict, parts: tuple[list[Part], Part]) -> None:
    (bank, *_), top = parts
    for part in (bank, top):
        part.module.double()
    own = batch["inputs"][0].astype(np.float64)
    others = [np.random.default_rng(k).normal(size=(ROWS, CONFIG.embedding)) for k in range(2)]

    def loss(cuts: list[np.ndarray]) -> float:
        log_odds = predict(bank, top, own, cuts, batch["present"])
        return float(np.mean(np.logaddexp(0, log_odds) - batch["labels"] * log_odds))

    own_part = [torch.from_numpy(x) for x in others]
    for cut in own_part:
        cut.requires_grad_()
    logits = top.module(bank.module(torch.from_numpy(own)), own_part, torch.from_numpy(batch["present"]))
    nn.BCEWithLogitsLoss()(logits, torch.from_numpy(batch["labels"]).double()).backward()
    for party, row, number in [(0, 0, 0), (0, 5, 2), (1, 3, 1)]:
        step = 1e-6
        moved = [[x.copy() for x in others] for _ in range(2)]
        moved[0][party][row, number] += step
        moved[1][party][row, number] -= step
        slope = (loss(moved[0]) - loss(moved[1])) / (2 * step)
        assert own_part[party].grad[row, number].item() == pytest.approx(slope, abs=1e-8)


def test_what_a_party_does_not_know_is_neither_seen_nor_taught(
    batch: dict, parts: tuple[list[Part], Part]
) -> None:
    (bank, *_), top = parts
    absent = ~batch["present"]
    others = [np.random.default_rng(k).normal(size=(ROWS, 3)).astype(np.float32) for k in range(2)]
    garbled = [np.where(absent[:, k, None], np.float32(1e9), x) for k, x in enumerate(others)]

    log_odds = [predict(bank, top, batch["inputs"][0], x, batch["present"]) for x in (others, garbled)]
    cuts, _ = backward(bank, top, batch["inputs"][0], others, batch["present"], batch["labels"])

    np.testing.assert_array_equal(*log_odds)
    for k, cut in enumerate(cuts):
        assert (cut[absent[:, k]] == 0).all()
        assert (cut[batch["present"][:, k]] != 0).any()


def test_the_unknown_embedding_learns_from_rows_that_a_party_does_not_know(
    batch: dict, parts: tuple[list[Part], Part]
) -> None:
    (bank, *_), top = parts
    batch["present"][:, 0], batch["present"][:, 1] = True, False
    others = [np.zeros((ROWS, 3), np.float32)] * 2

    backward(bank, top, batch["inputs"][0], others, batch["present"], batch["labels"])

    assert isinstance(top.module, Top)
    assert (top.module.unknown.grad[0] == 0).all()
    assert (top.module.unknown.grad[1] != 0).any()


def test_updates_are_those_of_pytorchs_adamw() -> None:
    part, reference = (new_bottom(4, 1, "bank", CONFIG) for _ in range(2))
    optimiser = torch.optim.AdamW(reference.module.parameters(), weight_decay=CONFIG.weight_decay)
    inputs = torch.from_numpy(np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32))

    for step in range(CONFIG.batches):
        for module in (part.module, reference.module):
            (module(inputs) ** 3).mean().backward()
        optimiser.param_groups[0]["lr"] = learning_rate(step, CONFIG)
        optimiser.step()
        optimiser.zero_grad()
        part.update()

    assert part.steps == CONFIG.batches
    np.testing.assert_allclose(part.weights(), reference.weights(), rtol=1e-4, atol=1e-6)


def test_a_restored_part_learns_on_as_if_nothing_had_happened() -> None:
    inputs = torch.ones(3, 4)

    def learn(part: Part) -> None:
        part.module(inputs).square().sum().backward()
        part.update()

    whole = new_bottom(4, 1, "bank", CONFIG)
    learn(whole)
    saved = encode(whole.state())
    learn(whole)
    restored = Part(Bottom(4, CONFIG), CONFIG, decode(PartState, saved))
    learn(restored)

    assert encode(restored.state()) == encode(whole.state())


def test_what_a_part_learns_does_not_change_the_states_before() -> None:
    part = new_bottom(4, 1, "bank", CONFIG)
    part.update()
    state = part.state()
    before = encode(state)
    part.module(torch.ones(3, 4)).sum().backward()
    part.update()
    assert encode(state) == before


def test_a_part_without_gradients_updates_all_the_same() -> None:
    part = new_bottom(4, 1, "bank", CONFIG)
    before = part.weights()
    part.update()
    expected = before * (1 - learning_rate(0, CONFIG) * CONFIG.weight_decay)
    np.testing.assert_allclose(part.weights(), expected, rtol=1e-6)


@given(batches=st.integers(1, 400))
def test_the_learning_rate_rises_to_its_peak_and_falls_to_nothing(batches: int) -> None:
    config = NetworkConfig(batches=batches, learning_rate=0.01)

    rates = [learning_rate(step, config) for step in range(batches + 1)]

    assert rates[0] == pytest.approx(0.0004)
    peak = int(np.argmax(rates))
    assert rates[peak] == pytest.approx(0.01)
    assert peak == max(1, round(0.15 * batches))
    assert (np.diff(rates[: peak + 1]) > 0).all()
    assert (np.diff(rates[peak:]) <= 0).all()
    assert rates[-1] == pytest.approx(0, abs=0.01 if batches == 1 else 1e-12)


def test_equal_seeds_give_equal_weights_and_parties_differ() -> None:
    weights = new_bottom(4, 1, "tax", CONFIG).weights()

    np.testing.assert_array_equal(new_bottom(4, 1, "tax", CONFIG).weights(), weights)
    assert (new_bottom(4, 2, "tax", CONFIG).weights() != weights).any()
    assert (new_bottom(4, 1, "bank", CONFIG).weights() != weights).any()


def test_setting_up_leaves_pytorchs_own_randomness_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    new_bottom(4, 1, "tax", CONFIG)
    new_top(2, 0.2, 1, CONFIG)
    assert (torch.rand(3) == expected).all()


def test_the_top_model_starts_at_the_bad_rate() -> None:
    top = new_top(1, 0.05, 1, CONFIG).module
    assert isinstance(top, Top)
    assert torch.sigmoid(top.linear.bias).item() == pytest.approx(0.05)


@given(
    rows=st.integers(2, 600), size=st.integers(64, 200), batches=st.integers(1, 30), seed=st.integers(0, 5)
)
@settings(max_examples=50)
def test_batches_go_through_the_training_rows_again_and_again(
    rows: int, size: int, batches: int, seed: int
) -> None:
    roles = np.random.default_rng(seed).choice([TRAIN, VALIDATION, TEST], rows).astype(np.int8)
    roles[0] = TRAIN
    config = NetworkConfig(batch_size=size, batches=batches)

    found = training_batches(roles, seed, config)

    training = np.flatnonzero(roles == TRAIN)
    assert [len(batch) for batch in found] == [min(size, len(training))] * batches
    stream = np.concatenate(found)
    for start in range(0, len(stream) - len(training) + 1, len(training)):
        np.testing.assert_array_equal(np.sort(stream[start : start + len(training)]), training)
    np.testing.assert_array_equal(np.concatenate(training_batches(roles, seed, config)), stream)


@pytest.mark.parametrize(
    ("batches", "every", "looks"), [(7, 3, [3, 6, 7]), (6, 3, [3, 6]), (2, 5, [2]), (3, 1, [1, 2, 3])]
)
def test_the_last_batch_is_always_a_look(batches: int, every: int, looks: list[int]) -> None:
    config = NetworkConfig(batches=batches, evaluate_every=every)
    assert [batch for batch in range(1, batches + 1) if is_look(batch, config)] == looks


def test_without_a_defence_the_gradient_goes_out_as_it_is() -> None:
    gradient = np.ones((3, 2), np.float32)
    assert defend(gradient, NetworkConfig(defence="none")) is gradient


@pytest.mark.parametrize("defence", ["gaussian", "max-norm", "none"])
@pytest.mark.parametrize("rows", [0, 5])
def test_a_gradient_of_nothing_stays_finite(defence: str, rows: int) -> None:
    defended = defend(np.zeros((rows, 4), np.float32), NetworkConfig(defence=defence))
    np.testing.assert_array_equal(defended, np.zeros((rows, 4)))


def test_gaussian_noise_has_the_stated_multiple_of_the_largest_norm() -> None:
    gradient = np.random.default_rng(0).normal(size=(4000, 6)).astype(np.float32)

    noise = defend(gradient, NetworkConfig(defence="gaussian", noise=4.0)) - gradient

    largest = float(np.linalg.norm(gradient, axis=1).max())
    assert noise.mean() == pytest.approx(0, abs=0.2 * largest)
    assert noise.std() == pytest.approx(4 * largest, rel=0.03)
    assert noise.dtype == np.float32


def test_max_norm_keeps_directions_and_evens_out_norms() -> None:
    rng = np.random.default_rng(0)
    gradient = (rng.normal(size=(1, 6)) * rng.uniform(0.2, 1, (20_000, 1))).astype(np.float32)
    gradient[::100] = 0  # rows that party dropout hid

    defended = defend(gradient, NetworkConfig(defence="max-norm"))

    assert np.isfinite(defended).all()
    assert (defended[::100] == 0).all()
    norms = np.linalg.norm(gradient, axis=1)
    cosines = (defended * gradient).sum(axis=1)[norms > 0]
    lengths = np.linalg.norm(defended, axis=1)[norms > 0]
    np.testing.assert_allclose(np.abs(cosines), lengths * norms[norms > 0], rtol=1e-4)
    for part in (norms < 0.5 * norms.max(), norms > 0.8 * norms.max()):
        squares = np.linalg.norm(defended[part & (norms > 0)], axis=1) ** 2
        assert squares.mean() == pytest.approx(norms.max() ** 2, rel=0.08)


def test_nobody_can_repeat_the_noise() -> None:
    gradient = np.ones((4, 3), np.float32)
    config = NetworkConfig()
    torch.manual_seed(0)
    first = defend(gradient, config)
    torch.manual_seed(0)
    assert (defend(gradient, config) != first).all()


def test_secret_numbers_are_standard_normal() -> None:
    numbers = secret_normal((200, 100))
    assert numbers.shape == (200, 100)
    assert np.isfinite(numbers).all()
    assert stats.kstest(numbers.ravel(), "norm").pvalue > 1e-6
