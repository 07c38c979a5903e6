"""The network of several banks as a program of sums: means of weights, FedProx, early stopping, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector

from fl.banks.network import Network, NetworkProgram, NetworkState
from fl.banks.program import Rows
from fl.config.network import NetworkConfig
from fl.errors import ConfigError, ProtocolError
from fl.metrics import auc
from fl.records import encode
from fl.seeds import generator
from fl.splits import TEST, TRAIN
from tests.fl.banks.test_scorecard import SCHEMA, all_rows, run, split

QUICK = NetworkConfig(rounds=6, local_batch=64, embedding=4, top=4, bins=4, local_rate=0.2)


@pytest.mark.parametrize("banks", [2, 3, 5])
def test_all_banks_have_the_same_network_in_whatever_order_they_add(banks: int) -> None:
    parts = split(all_rows(900), banks, seed=banks)
    states, told, _ = run(NetworkProgram(QUICK, 1, SCHEMA), parts)
    again, _, _ = run(NetworkProgram(QUICK, 1, SCHEMA), parts[::-1])
    assert len({encode(state) for state in [*states, *again]}) == 1
    assert [number for number, _ in told] == [1, 2, 3, 4, 5, 6]


def after(sums: int, banks: list[Rows], config: NetworkConfig = QUICK) -> list[NetworkState]:
    program = NetworkProgram(config, 1, SCHEMA)
    states = [program.begin(rows) for rows in banks]
    for _ in range(sums):
        total = np.sum([program.addend(r, s) for r, s in zip(banks, states, strict=True)], axis=0)
        states = [program.advance(r, s, total) for r, s in zip(banks, states, strict=True)]
    return states


def test_one_bank_and_one_epoch_a_round_are_plain_gradient_descent() -> None:
    rows = all_rows(900)
    begun, ended = after(1, [rows])[0], after(1 + QUICK.rounds, [rows])[0]
    network = Network.of(begun.weights, begun.encoder.width, QUICK)
    places = np.flatnonzero(rows.roles == TRAIN)
    inputs = torch.from_numpy(begun.encoder.transform(SCHEMA.table(rows.table), places))
    labels = torch.from_numpy(rows.labels[places].astype(np.float32))
    optimiser = torch.optim.SGD(network.parameters(), lr=QUICK.local_rate, weight_decay=QUICK.local_decay)
    for number in range(QUICK.rounds):
        order = generator(1, "batches", rows.name, str(number)).permutation(len(places))
        for batch in np.array_split(order, -(-len(order) // QUICK.local_batch)):
            optimiser.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(network(inputs[batch]), labels[batch]).backward()
            optimiser.step()
    weights = parameters_to_vector(network.parameters()).detach().numpy()
    np.testing.assert_allclose(ended.weights, weights, atol=1e-5)
    assert np.abs(ended.weights - begun.weights).max() > 0.05


def test_the_next_weights_are_the_mean_over_all_training_rows() -> None:
    banks = split(all_rows(900), 3, seed=1)
    program, states = NetworkProgram(QUICK, 1, SCHEMA), after(1, banks)
    sizes = np.array([(rows.roles == TRAIN).sum() for rows in banks])
    local = [
        program.addend(rows, state)[2:] * 2.0**-24 / size
        for rows, state, size in zip(banks, states, sizes, strict=True)
    ]
    expected = np.average(local, axis=0, weights=sizes)
    np.testing.assert_allclose(after(2, banks)[0].weights, expected, atol=1e-6)


def test_the_proximal_term_keeps_a_bank_near_to_where_the_round_began() -> None:
    rows = all_rows(900)
    moved = []
    for proximal in (0.0, 2.0):
        config = replace(QUICK, proximal=proximal, local_epochs=5)
        moved.append(
            np.linalg.norm(after(2, [rows], config)[0].weights - after(1, [rows], config)[0].weights)
        )
    assert moved[1] < 0.5 * moved[0]


def test_training_ends_when_the_validation_loss_rises_and_keeps_the_best_weights() -> None:
    # So fast a descent overfits.
    config = replace(QUICK, rounds=200, patience=4, local_rate=2.0, local_decay=0.0, local_batch=8)
    (state,), told, _ = run(NetworkProgram(config, 1, SCHEMA), [all_rows(600)])
    losses = [metrics["valid.loss"] for _, metrics in told]
    assert len(told) == state.best_round + 4 < 200
    assert state.best_loss <= min(losses)


def test_it_learns_and_scores_applicants_one_by_one() -> None:
    rows = all_rows(3000)
    program = NetworkProgram(replace(QUICK, rounds=15), 1, SCHEMA)
    states, _, _ = run(program, split(rows, 3, seed=1))
    nobody = np.empty(0, np.int8)
    log_odds = program.log_odds(replace(rows, labels=nobody, roles=nobody), states[0])
    test = rows.roles == TEST
    assert auc(rows.labels[test], log_odds[test]) > 0.7
    some = replace(rows, table=rows.table.take(np.array([7, 3])))
    np.testing.assert_array_equal(program.log_odds(some, states[0]), log_odds[[7, 3]])


def test_divergence_says_which_setting_to_lower() -> None:
    with pytest.raises(ConfigError, match=r"lower network\.local-rate"):
        run(NetworkProgram(replace(QUICK, local_rate=1e9), 1, SCHEMA), [all_rows(300)])


def test_a_total_of_another_length_is_refused() -> None:
    (state,) = after(1, [rows := all_rows(300)])
    with pytest.raises(ProtocolError, match="must be losses and weights"):
        NetworkProgram(QUICK, 1, SCHEMA).advance(rows, state, np.zeros(3, np.int64))


def test_what_columns_add_explains_every_row_from_the_same_base() -> None:
    program, rows = NetworkProgram(QUICK, 1, SCHEMA), all_rows(900)
    (state,), _, _ = run(program, [rows])
    added = program.contributions(rows, state)
    base = program.log_odds(rows, state) - sum(added.values())
    assert set(added) == {0, 1, 2, 3}
    np.testing.assert_allclose(base, base[0], atol=1e-4)
