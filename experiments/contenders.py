"""One contender of a study under one seed, whoever trains it: the federation, or this process on the joined table.

Where there are several banks, a contender is one model of theirs together, or a model of each bank. Either way it has
a PD for every row of every bank, and is judged on the test rows of all and on those of each.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from clients.banks import schema_of
from clients.data.declaration import read_declaration
from experiments.baselines import twins
from experiments.baselines.training import YARDSTICKS, Banks, Baselines, Floats, Reserve, Trained
from experiments.comparison.result import Result
from experiments.dataset import Dataset
from experiments.joined import (
    Joined,
    bank_study,
    has_truth,
    pooled,
    read_joined,
    read_roles,
    read_scores,
    read_true_pd,
)
from fl.banks.program import Rows
from fl.config.run import TrainingConfig
from fl.evaluation.measures import evaluate
from fl.metrics import expected_auc
from fl.protocols import HORIZONTAL, HYBRID, VERTICAL, Conversation, conversation_of, federated_contenders
from fl.reserve import RESERVE
from fl.splits import TEST, Roles
from server.exchange import FederationError
from server.progress import Progress, Report
from server.tracking.study import Study


def trained_by_federation(layout: str) -> dict[str, Conversation]:
    """What a federation can train where the data have this layout, by the conversation that does it.

    With partners, each of several banks can also train what a single one can.
    """
    layouts = {layout, VERTICAL} if layout == HYBRID else {layout}
    return {name: talk for name, talk in federated_contenders().items() if layouts & {*talk.layouts}}


def all_contenders(layout: str = VERTICAL) -> tuple[str, ...]:
    """Every contender that a study can have where the data have this layout, in the order of its table."""
    alone, of_all = ([f"{owner}-{name}" for name in twins()] for owner in ("bank-only", "pooled"))
    if layout == VERTICAL:
        return (*alone, *trained_by_federation(layout), *of_all, *YARDSTICKS)
    of_banks = [
        f"pooled-{name}"
        for name, talk in trained_by_federation(layout).items()
        if VERTICAL not in talk.layouts
    ]
    if layout == HORIZONTAL:
        return (*alone, *trained_by_federation(layout), *of_banks, *YARDSTICKS)
    return (*alone, *trained_by_federation(layout), *of_banks, *of_all, "pooled-banks-trees", *YARDSTICKS)


@dataclass(frozen=True)
class Part:
    """What one bank has of a study that has aligned: its folder, its rows, and their roles by seed.

    config is that of the study, or of the bank's sub-study where there are several banks.
    """

    folder: str
    config: TrainingConfig
    joined: Joined
    roles: Mapping[int, Roles]


@dataclass(frozen=True)
class Parts:
    """What each bank has by its name in the federation, and all of it together; an only bank has no name."""

    of_banks: Mapping[str, Part]
    whole: Part

    @property
    def are_several(self) -> bool:
        """Whether there is more than one bank."""
        return len(self.of_banks) > 1


def read_parts(config: TrainingConfig, dataset: Dataset) -> Parts:
    """The parts of a study that has aligned; where a bank joins others, its own alone."""
    if config.joins:
        folder = next(
            name
            for name in dataset.holders
            if read_declaration(dataset.folder / name).name == config.newcomer
        )
        # The models are in the study of all.
        only = replace(_read_part(bank_study(config, folder, ()), folder), config=config)
        return Parts({"": only}, only)
    if len(dataset.holders) == 1:
        only = _read_part(config, dataset.holder)
        return Parts({"": only}, only)
    parts = [_read_part(bank_study(config, folder, dataset.passive), folder) for folder in dataset.holders]
    of_banks = {part.joined.holder: part for part in parts}
    roles = {seed: np.concatenate([part.roles[seed] for part in parts]) for seed in config.seeds}
    joined = pooled({bank: part.joined for bank, part in of_banks.items()})
    return Parts(of_banks, Part("", config, joined, roles))


def _read_part(config: TrainingConfig, folder: str) -> Part:
    roles = {seed: read_roles(config, folder, seed) for seed in config.seeds}
    return Part(folder, config, read_joined(config, folder), roles)


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """Trains the contenders of a study under one seed, in the order of its table, or reads what the federation has.

    config is the study's, and run is what the federation has run, with all the events that it has reported; report
    hears of what is trained here.
    """

    study: Study
    config: TrainingConfig
    run: TrainingConfig
    parts: Parts
    seed: int
    events: list[Progress]
    report: Report

    @cached_property
    def _baselines(self) -> dict[str, Baselines]:
        """By bank, and of several banks together under no name, what is trained without a federation."""
        parts, reserves = self.parts, {bank: self._reserve(bank) for bank in self.parts.of_banks}
        baselines = {bank: self._of(part, reserves[bank]) for bank, part in parts.of_banks.items()}
        if parts.are_several:
            kept = [reserve for reserve in reserves.values() if reserve is not None]
            of_all = _in_all_reserve(kept) if len(kept) == len(reserves) else None
            baselines[""] = self._of(parts.whole, of_all)
        return baselines

    def _of(self, part: Part, reserve: Reserve | None) -> Baselines:
        roles = part.roles[self.seed]
        return Baselines(part.joined, roles, self.seed, self.config, reserve, self._banks)

    def _banks(self) -> Banks:
        """What the banks train on together. Raises as `schema_of` does."""
        parts = self.parts.of_banks
        rows = [
            Rows(
                name=bank,
                table=part.joined.tables[part.joined.holder],
                labels=part.joined.labels,
                roles=part.roles[self.seed],
                signs=part.joined.signs(part.joined.holder),
                segments=part.joined.applications.segments,
            )
            for bank, part in parts.items()
        ]
        declared = read_declaration(self.config.data_folder / next(iter(parts.values())).folder)
        partners = [
            {name: part.joined.tables[name] for name in part.joined.coverage} for part in parts.values()
        ]
        return Banks(rows=rows, partners=partners, schema=schema_of(declared, rows[0].table))

    @cached_property
    def _true_pd(self) -> Floats | None:
        """The true PDs (n,) of all rows, where a generator has told them."""
        ids, data = self.parts.whole.joined.applications.ids, self.config.data_folder
        return read_true_pd(data, ids) if has_truth(data) else None

    def train(self, name: str) -> tuple[Trained, list[Result]]:
        """A contender, and its results: on all test rows, and then on those of each of several banks.

        What this process trains it logs to MLflow, and so it does for all banks a contender that is a model of each.
        Raises FederationError for one that the federation has not trained, with the reason.
        """
        if not self.parts.are_several:
            trained, result = self._own(name, "")
            return trained, [result]
        if not self._is_own(name):
            trained, result = self._shared(name)
            of_banks = [
                self._judged(name, replace(trained, pd=trained.pd[rows], tables={}), bank)
                for bank, rows in self.parts.whole.joined.blocks.items()
            ]
            return trained, [result, *of_banks]
        owned = {bank: self._own(name, bank) for bank in self.parts.of_banks}
        trained = _in_all([each for each, _ in owned.values()])
        with self.study.contender(name, self.seed, self._params(name)) as run:
            result = self._judged(name, trained, "")
            run.log_evaluation(result.evaluation)
            run.log_costs(trained.costs)
        return trained, [result, *(of_bank for _, of_bank in owned.values())]

    def _is_own(self, name: str) -> bool:
        """Whether each of several banks has a model of its own under this name."""
        if name in federated_contenders():
            return conversation_of(name).layouts == (VERTICAL,)
        return name.startswith("bank-only-")

    def _own(self, name: str, bank: str) -> tuple[Trained, Result]:
        """The model of one bank, or of the only one."""
        part = self.parts.of_banks[bank]
        if name not in federated_contenders():
            return self._logged(name, self._baselines[bank], bank)
        costs = self._costs(name, bank)
        trained = Trained(pd=read_scores(part.config, part.folder, name, self.seed).pd, costs=costs)
        return trained, self._judged(name, trained, bank)

    def _shared(self, name: str) -> tuple[Trained, Result]:
        """The one model of several banks."""
        if name not in federated_contenders():
            return self._logged(name, self._baselines[""], "")
        costs = self._costs(name, "")
        # A model with passive parties is in each bank's sub-study, one of banks alone in the study of all.
        is_hybrid = conversation_of(name).layouts == (HYBRID,)
        scores = [
            read_scores(part.config if is_hybrid else self.run, part.folder, name, self.seed).pd
            for part in self.parts.of_banks.values()
        ]
        trained = Trained(pd=np.concatenate(scores), costs=costs)
        return trained, self._judged(name, trained, "")

    def _logged(self, name: str, baselines: Baselines, bank: str) -> tuple[Trained, Result]:
        """Train a contender in this process, and log it to MLflow."""
        self.report(Progress(name, self.seed, bank=bank))
        with self.study.contender(name, self.seed, self._params(name), bank) as run:
            trained = baselines.train(name)
            result = self._judged(name, trained, bank)
            for step, metrics in enumerate(trained.curve, start=1):
                if any(key.startswith("valid.") for key in metrics):
                    run.log_round(step, metrics)
            run.log_evaluation(result.evaluation)
            run.log_costs(trained.costs)
        return trained, result

    def _judged(self, name: str, trained: Trained, bank: str) -> Result:
        part = self.parts.of_banks[bank] if bank else self.parts.whole
        test = part.roles[self.seed] == TEST
        segments = {segment: levels[test] for segment, levels in part.joined.segments.items()}
        labels, pd = part.joined.labels[test], trained.pd[test]
        evaluation = evaluate(labels, pd, segments)
        evaluation = replace(evaluation, tables={**evaluation.tables, **trained.tables})
        result = Result(name, self.seed, pd, labels, evaluation, trained.costs, bank)
        if bank and self._true_pd is not None:
            true_pd = self._true_pd[self.parts.whole.joined.blocks[bank]][test]
            result = replace(result, expected_auc=expected_auc(true_pd, pd))
        return result

    def _params(self, name: str) -> dict[str, object]:
        return dict(replace(self.config, contenders=(name,), seeds=(self.seed,)).to_mapping())

    def _costs(self, name: str, bank: str) -> Mapping[str, float]:
        """What a contender took that the federation has trained. Raises FederationError with the reason if not."""
        told = [
            event for event in self.events if (event.stage, event.seed, event.bank) == (name, self.seed, bank)
        ]
        if failure := next((event.failure for event in told if event.failure), ""):
            raise FederationError(failure)
        return next(event.costs for event in told if event.costs)

    def _reserve(self, bank: str) -> Reserve | None:
        """A bank's reserve model, if the federation has trained one."""
        told = [
            event
            for event in self.events
            if (event.stage, event.seed, event.bank) == (RESERVE, self.seed, bank)
        ]
        if not any(event.costs for event in told):
            return None
        part = self.parts.of_banks[bank]
        scores = read_scores(part.config, part.folder, RESERVE, self.seed)
        return Reserve(
            log_odds=scores.log_odds,
            pd=scores.pd,
            curve=[dict(event.metrics) for event in told if event.metrics],
            # A bank that is alone needs no message to train it.
            costs={**told[-1].costs, "round_trips": 0, "bytes_up": 0, "bytes_down": 0},
        )


def _in_all(trained: list[Trained]) -> Trained:
    """The models of several banks as one contender: the PDs of all rows, and what all of them took."""
    names = dict.fromkeys(name for each in trained for name in each.costs)
    costs = {name: sum(each.costs.get(name, 0.0) for each in trained) for name in names}
    return Trained(pd=np.concatenate([each.pd for each in trained]), costs=costs)


def _in_all_reserve(reserves: list[Reserve]) -> Reserve:
    """The reserve models of several banks, each for its own rows."""
    of_all, log_odds = _in_all([*reserves]), np.concatenate([each.log_odds for each in reserves])
    return Reserve(pd=of_all.pd, costs=of_all.costs, log_odds=log_odds)
