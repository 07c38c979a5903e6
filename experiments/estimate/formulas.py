"""What the protocols' own formulas say of a study: its sizes, the plan of each training, and what travels in it."""

from typing import cast

from experiments.dataset import Dataset
from experiments.estimate.steps import KEY_BYTES, steps_of
from fl.config.run import TrainingConfig
from fl.protocols import vertical_contenders
from fl.workload import Plan, Sizes, Workload
from server.training import Trainer


def sizes_of(dataset: Dataset, config: TrainingConfig) -> Sizes:
    """The sizes of a study on a dataset, with rows by the shares that the settings ask for."""
    rows = dataset.facts.rows
    if config.test_ids:
        with open(config.test_ids, encoding="utf-8") as file:
            test = sum(1 for line in file if line.strip())
        validation = round(config.validation_share * (rows - test))
    else:
        test, validation = round(config.test_share * rows), round(config.validation_share * rows)
    columns = dict(dataset.values)
    return Sizes(
        training=rows - test - validation,
        validation=validation,
        test=test,
        bank_columns=len(columns.pop(dataset.holder)),
        columns=columns,
        known={party: count / rows for party, count in dataset.known.items()},
    )


def plan_of(contender: str, config: TrainingConfig, sizes: Sizes) -> Plan | None:
    """What the protocol of a contender's algorithm says of its training; None if no protocol trains by it."""
    conversation = vertical_contenders().get(f"federated-{contender.rpartition('-')[2]}")
    return None if conversation is None else cast(Trainer, conversation.half("server")).plan(config, sizes)


def megabytes(plan: Plan, rounds: float) -> float:
    """What travels in a training of so many rounds."""
    parties = max((len(sums.bins) for sums in plan.each.sums), default=0)
    keys = plan.keys * KEY_BYTES.get(plan.engine, 0) * (1 + parties)
    return (keys + _bytes(plan, plan.once) + rounds * _bytes(plan, plan.each)) / 1e6


def _bytes(plan: Plan, part: Workload) -> float:
    """All that travels in a part of a training; each letter counts at its sender and at each receiver."""
    total = part.letters
    for sums in part.sums if plan.packing else ():
        steps = steps_of(plan.engine, plan.packing, sums)
        total += steps.encrypted_bytes * (1 + len(sums.bins)) + 2 * steps.reply_bytes
        if sums.masked:  # 64 bits of each sum come back
            total += 2 * 8 * sums.groups * sum(int(bins.sum()) for bins in sums.bins.values())
    return total
