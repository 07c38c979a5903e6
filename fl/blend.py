"""The blend: the bank's weighted mean of the log odds of the models that a run has trained before it.

Models that err differently are better together. All members have the same weight, unless weights that are fitted to the
validation rows are better by more than noise (`fit`). No row that a member has learned from, and no test row, has a say
in that. Members are mixed before the reserve model has its say on businesses that no passive party knows
(`clients/reserve.py`).

Conversation `blend/1`, one round trip: `BlendRequest` → `Scored` from the label holder, which has the members' log odds
of every position. No passive party takes part.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fl.errors import ProtocolError
from fl.evaluation import Columns, Scored
from fl.messages import Reader, Request, request
from fl.metrics import auc, delong_test
from fl.seeds import generator
from fl.splits import VALIDATION, Roles

Floats = NDArray[np.float64]

BLEND = "blend"
FOLDS = 5


@request("blend", to=Reader.LABEL_HOLDER)
@dataclass(frozen=True)
class BlendRequest(Request[Scored]):
    """Asks the label holder to blend the models of the study and seed that it has, and to evaluate the blend."""


@dataclass(frozen=True)
class Blend:
    """The members by contender with their weights, which add up to 1.

    A single model is a blend of one.

    >>> Blend({"a": 0.5, "b": 0.5}).log_odds({"a": np.array([1.0]), "b": np.array([2.0])})
    array([1.5])
    """

    weights: Mapping[str, float]

    def without(self, members: Collection[str]) -> "Blend":
        """The same blend when these members cannot answer: the others' weights are raised in proportion."""
        left = {name: weight for name, weight in self.weights.items() if name not in members}
        return Blend(_shares(left))

    def log_odds(self, members: Mapping[str, Floats]) -> Floats:
        """The log odds (n,) of default, from those of every member."""
        weighted = (weight * members[name] for name, weight in self.weights.items())
        return np.asarray(sum(weighted), np.float64)


def fit(members: Mapping[str, Floats], labels: NDArray[np.int8], seed: int) -> Blend:
    """The blend of two members or more by their log odds (v,) of the validation rows and the labels (v,) there.

    The weights are equal, unless cross-validation says that fitted ones rank better: each of `FOLDS` folds is scored by
    the weights that are fitted to the others, and the gain of AUC over the plain mean must be above its standard error
    (DeLong, paired). Raises ProtocolError for fewer than two members.
    """
    if len(members) < 2:
        raise ProtocolError(
            f"a blend is made of two trained models at least, and there is {' and '.join(members) or 'none'}"
        )
    equal, folds = Blend(_shares(dict.fromkeys(members, 1.0))), _folds(labels, seed)
    by_fitted = np.empty(len(labels))
    for fold in range(FOLDS):
        held_out = folds == fold
        learned = _fitted({name: odds[~held_out] for name, odds in members.items()}, labels[~held_out])
        by_fitted[held_out] = learned.log_odds(members)[held_out]
    gain = delong_test(labels, by_fitted, equal.log_odds(members))
    return _fitted(members, labels) if gain.difference > gain.standard_error else equal


def blended(
    members: Mapping[str, Floats], labels: NDArray[np.int8], roles: Roles, seed: int
) -> tuple[Blend, Columns]:
    """`fit` on the validation rows of log odds (n,) and labels (n,) of all rows, and its `table`."""
    validation = roles == VALIDATION
    judged = {name: log_odds[validation] for name, log_odds in members.items()}
    blend = fit(judged, labels[validation], seed)
    return blend, table(blend, judged, labels[validation])


def table(blend: Blend, members: Mapping[str, Floats], labels: NDArray[np.int8]) -> Columns:
    """What the evaluation says of a blend's members: their weights, and their AUC on the validation rows (v,)."""
    return {
        "member": np.array([*members], np.str_),
        "weight": np.array([blend.weights.get(name, 0.0) for name in members]),
        "validation_auc": np.array([auc(labels, odds) for odds in members.values()]),
    }


def with_members(contenders: Iterable[str], algorithms: Iterable[str]) -> tuple[str, ...]:
    """The contenders in an order in which they can be trained: a blend comes after its members, which are added.

    Those of the algorithms that are among the contenders are its members, and all of them if these are fewer than two.

    >>> with_members(["pooled-blend"], ["boosting", "network"])
    ('pooled-boosting', 'pooled-network', 'pooled-blend')
    >>> with_members(["a-blend", "a-network", "a-boosting"], ["boosting", "network", "scorecard"])
    ('a-boosting', 'a-network', 'a-blend')
    """
    contenders, algorithms = list(contenders), list(algorithms)
    ordered: dict[str, None] = {}
    for name in contenders:
        owner, _, algorithm = name.rpartition("-")
        every = [f"{owner}-{member}" for member in algorithms] if algorithm == BLEND else []
        chosen = [member for member in every if member in contenders]
        ordered |= dict.fromkeys([*(chosen if len(chosen) > 1 else every), name])
    return tuple(ordered)


def _fitted(members: Mapping[str, Floats], labels: NDArray[np.int8]) -> Blend:
    """The blend with weights by logistic regression without negative ones (Breiman, "Stacked regressions", 1996).

    A slight penalty pulls them towards equal ones. While a weight is negative, the member with the lowest is left out.
    """
    names = list(members)
    while len(names) > 1:
        inputs = np.stack([*(members[name] for name in names), np.ones(len(labels))], 1)
        found = equal = np.append(np.full(len(names), 1 / len(names)), 0.0)
        penalty = np.append(np.ones(len(names)), 0.0)
        for _ in range(50):
            pd = expit(inputs @ found)
            hessian = (inputs * (pd * (1 - pd))[:, None]).T @ inputs + np.diag(penalty)
            step = np.linalg.solve(hessian, inputs.T @ (pd - labels) + penalty * (found - equal))
            found = found - step
            if np.abs(step).max() < 1e-10:
                break
        weights = dict(zip(names, found[:-1].tolist(), strict=True))
        lowest = min(weights, key=lambda name: weights[name])
        if weights[lowest] >= 0:
            return Blend(_shares(weights))
        names.remove(lowest)
    return Blend({names[0]: 1.0})


def _folds(labels: NDArray[np.int8], seed: int) -> NDArray[np.int64]:
    """The fold (v,) of every row; goods and bads are dealt out evenly."""
    order = generator(seed, "blend").permutation(len(labels))
    folds = np.empty(len(labels), np.int64)
    folds[order[np.argsort(labels[order], kind="stable")]] = np.arange(len(labels)) % FOLDS
    return folds


def _shares(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}
