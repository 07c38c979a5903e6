"""The bank's blend of the models that it has trained: what it is made of, and what is left out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clients.aligned import known_to_none, read_coverage, read_table
from clients.reserve import reserve_log_odds
from clients.scores import Scores
from clients.store import Store
from experiments.baselines import blend as pooled
from experiments.joined import read_joined, read_roles
from fl.config.blend import BlendConfig
from fl.evaluation import Evaluation
from server.coordinator import assign_roles, train, train_reserve
from server.exchange import FederationError
from server.progress import ignore
from server.training import Training

MEMBERS = ("federated-boosting", "federated-scorecard")


class Blended:
    """A federation that has trained these members."""

    def __init__(self, run, members: tuple[str, ...] = MEMBERS) -> None:
        self.config, self._federation = run.config, run.federation
        self._assigned = assign_roles(run.federation, 1)
        train_reserve(run.federation, self._assigned, 1, ignore)
        for contender in members:
            self.train(contender)
        self.study = Store(Path(self.config.state, "bank", "s"))

    def train(self, contender: str = "federated-blend") -> Evaluation:
        training = Training(
            contender=contender, seed=1, assigned=self._assigned, config=self.config, on_progress=ignore
        )
        trained = train(self._federation, training)
        assert contender != "federated-blend" or trained.costs.round_trips == 1
        return trained.evaluation

    def of(self, contender: str) -> Store:
        return Store(self.study.folder / contender / "1")


def test_members_are_mixed_before_the_reserve_model_has_its_say(federate: Callable, tables: Path) -> None:
    blended = Blended(federate(tables))
    evaluation = blended.train()

    table = evaluation.tables["members"]
    assert table["member"].tolist() == list(MEMBERS)  # the network is not there
    assert table["weight"].tolist() == [0.5, 0.5]
    scores = blended.of("federated-blend").read(Scores)
    expected = sum(blended.of(name).read(Scores).unmixed for name in MEMBERS) / 2
    np.testing.assert_allclose(scores.unmixed, expected, rtol=1e-12)
    unknown = known_to_none(read_coverage(blended.study), len(expected))
    reserve = reserve_log_odds(blended.study, 1, read_table(blended.study), blended.config)
    mixed = np.where(unknown, (expected + reserve) / 2, expected)
    assert unknown.any()
    np.testing.assert_allclose(scores.log_odds, mixed, rtol=1e-12)

    # The same rows without a federation give the same blend.
    roles, joined = read_roles(blended.config, "bank", 1), read_joined(blended.config, "bank")
    members = {name: blended.of(name).read(Scores).unmixed for name in MEMBERS}
    twin = pooled.train(members, joined.labels, roles, 1)
    np.testing.assert_array_equal(scores.unmixed, twin.log_odds)


def test_with_too_few_members_it_is_refused_in_a_sentence(federate: Callable, tables: Path) -> None:
    why = (
        r"bank refused train.blend_blend: a blend is made of two trained models at least, and there is none\."
    )
    with pytest.raises(FederationError, match=why):
        Blended(federate(tables), ()).train()


def test_the_settings_name_two_members_at_least() -> None:
    with pytest.raises(ValueError, match=r"'blend.members' must be two names at least, not 'boosting'"):
        BlendConfig(members=("boosting",))
