"""What a report says, and in which order: this module turns the cases of every world into a page and its figures."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from experiments.lending import fairness_wording, figures, wording
from experiments.lending.cases import Case
from experiments.lending.claims import CLAIMS
from experiments.lending.fairness import LEAST_GROUP, Fairness, measure_fairness
from experiments.lending.intervals import RESAMPLES, summarise
from experiments.lending.measures import APPROVAL, BAD_RATE, OWN, RANKING, choose_cutoffs, swap, trade_off
from experiments.lending.mitigation import measure_mitigations
from experiments.lending.policy import Policy
from server.tracking.pages import Code, Heading, Part, Picture


@dataclass(frozen=True)
class World:
    """What was measured in a world, or on a user's own data.

    summary      the frame of `intervals.summarise`
    swap         the mean over all cases of the frame of `measures.swap`
    trade_off    the mean over all cases of the frame of `measures.trade_off`
    sizes        numbers of economies, of training seeds in each economy, and of test applicants on average
    fairness     how both models treat the groups of every segment
    mitigations  the frame of `mitigation.measure_mitigations`
    """

    name: str
    summary: pd.DataFrame
    swap: pd.DataFrame
    trade_off: pd.DataFrame
    sizes: tuple[int, int, float]
    fairness: Fairness
    mitigations: pd.DataFrame


def world_from_cases(name: str, cases: list[Case], policy: Policy, reweigh: str = "") -> World:
    """Measure everything that the report shows of one world; reweigh names the segment of a reweighed challenger."""
    cutoffs = [choose_cutoffs(case, policy) for case in cases]
    economies = {case.economy for case in cases}
    return World(
        name,
        summarise(cases, policy),
        _mean([swap(case, chosen) for case, chosen in zip(cases, cutoffs, strict=True)]),
        _mean([trade_off(case) for case in cases]),
        (len(economies), len(cases) // len(economies), sum(len(case.test) for case in cases) / len(cases)),
        measure_fairness(cases, cutoffs, policy),
        measure_mitigations(cases, policy, reweigh),
    )


def draw(worlds: list[World], pair: figures.Pair) -> dict[str, Figure]:
    """The figures of a report by name."""
    by_name = {"gains": figures.gains({world.name: world.summary for world in worlds}, pair, _CLAIMED)}
    for world in worlds:
        name, summary = world.name, world.summary
        by_name |= {
            f"{name}-trade-off": figures.trade_off(world.trade_off, summary, name, pair),
            f"{name}-swap": figures.swap(world.swap, name, pair),
            f"{name}-lines": figures.lines(summary, name, pair),
        }
        if world.fairness.largest:
            by_name[f"{name}-fairness"] = figures.approvals_by_group(world.fairness, name, pair)
    return by_name


def compose(worlds: list[World], pair: figures.Pair, policy: Policy, command: str) -> list[Part]:
    """The parts of the report's page."""
    summaries = {world.name: world.summary for world in worlds}
    return [
        Heading("What federation changes for a lender", 1),
        f"`{pair[1]}` beside `{pair[0]}`, the model in use, under one lending policy and on the same test applicants.",
        *(wording.headline(world.name, world.summary) for world in worlds),
        Picture("gains", "Relative gain of Gini in each world, with its interval"),
        Heading("Beside published figures"),
        "A report on China's digital inclusive finance says what shared data brought to four institutions, by "
        "federated learning or otherwise. The table compares each of its figures with what was measured here; "
        "changes have their 95 % interval in brackets.",
        wording.claim_table(summaries, pair),
        *itertools.chain.from_iterable(_about(world, pair) for world in worlds),
        *_how(worlds, pair, policy, command),
    ]


def _about(world: World, pair: figures.Pair) -> list[Part]:
    name = world.name
    return [
        Heading(name),
        Picture(f"{name}-trade-off", f"Bad rate against approval rate of both models, {name}"),
        Heading("Ranking", 3),
        wording.measure_table(world.summary, RANKING, pair),
        Heading("Each model at its own cut-off, chosen on validation rows", 3),
        wording.measure_table(world.summary, OWN, pair),
        Heading("At equal approval", 3),
        Picture(f"{name}-swap", f"Bad rates of applicants on whom the models agree or differ, {name}"),
        wording.measure_table(world.summary, APPROVAL, pair),
        Heading("At equal bad rate", 3),
        Picture(f"{name}-lines", f"Average lines of both models, {name}"),
        wording.measure_table(world.summary, BAD_RATE, pair),
        *_treatment(world, pair),
    ]


def _treatment(world: World, pair: figures.Pair) -> list[Part]:
    """Whom the models treat worse: nothing where the bank has no segment with two groups of enough applicants."""
    name, fairness = world.name, world.fairness
    if not fairness.largest:
        return []
    parts: list[Part] = [
        Heading("Whom does it treat worse?", 3),
        "Groups of the bank's segments at each model's own cut-off, the group that the model in use approves least "
        f"first; groups of fewer than {LEAST_GROUP} test applicants are withheld. Ratio and difference compare the new "
        "model's approval rate with that of the largest group. Arrows lead from the model in use to the new one; the "
        "95 % interval is in brackets.",
        fairness_wording.finding(fairness, pair),
        Picture(f"{name}-fairness", f"Approval rates of both models by group, {name}"),
    ]
    for segment in fairness.largest:
        text = fairness_wording.segment_finding(fairness, segment, pair)
        parts += [f"**{segment}.** {text}", fairness_wording.segment_table(fairness, segment)]
    if len(world.mitigations):
        parts += [
            "**What mitigation costs.** Each line compares the new model with the same one, mitigated.",
            fairness_wording.mitigation_table(world.mitigations),
        ]
    return parts


def _how(worlds: list[World], pair: figures.Pair, policy: Policy, command: str) -> list[Part]:
    interval = (
        "Student's t over the economies, each of which counts with the mean over its training seeds"
        if any(world.sizes[0] > 1 for world in worlds)
        else f"a bootstrap over the test applicants ({RESAMPLES} resamples, the same for both models)"
    )
    sizes = "; ".join(f"{world.name}: {_size(world)}" for world in worlds)
    return [
        Heading("How it was made"),
        Code(command),
        f"{sizes}. Figures are means; intervals are {interval}. The change of a share is given in percentage points, "
        "the change of Gini, KS, lines and credit in per cent of the value for the model in use.",
        "**Cut-offs.** The policy chooses a model's own cut-off on validation rows. At equal approval the new model "
        "approves as many test applicants as the model in use does. At equal bad rate both models approve as many "
        "as they can without a larger bad rate than the model in use had among those whom it approved in validation.",
        "**Accepted and declined.** Here every applicant's outcome is known, even if a model declines the applicant; a "
        "bank knows the outcomes of accepted applicants only. Among these both models rank worse, because the worst "
        "applicants are gone, and the model in use ranks worst, because its own score chose them. A gain that is "
        "measured there is larger than the true gain. The report shows both.",
        "**Profit** is that of the first year, with lines drawn in full. Expected profit relies on each model's own "
        "PD; realised profit uses what happened, and depends much on the few largest loans that fail.",
        wording.policy_table(policy),
    ]


_CLAIMED = {
    f"{claim.lender} +{100 * claim.gain:.0f} %": claim.gain for claim in CLAIMS if claim.gain is not None
}


def metrics(worlds: list[World]) -> Mapping[str, float]:
    """The main figures of a report for MLflow, each under the name `world/measure`."""
    values = {
        f"{world.name}/{name}{end}": float(world.summary.loc[row, part])
        for world, (name, row), (end, part) in itertools.product(worlds, _METRICS.items(), _ENDS.items())
    }
    for world in worlds:
        if world.fairness.largest:
            least = world.fairness.gaps.xs("ratio", level="kind").groupby("measure").min()
            for measure, side in itertools.product(least.index, least.columns):
                values[f"{world.name}/least_{measure}_ratio_{side}"] = float(least.loc[measure, side])
    return {name: value for name, value in values.items() if pd.notna(value)}


_METRICS = {
    "uplift_gini_relative": (RANKING, "gini"),
    "uplift_ks_relative": (RANKING, "ks"),
    "uplift_approval_rate": (BAD_RATE, "approval_rate"),
    "uplift_line_relative": (BAD_RATE, "average_line"),
    "uplift_realised_profit": (OWN, "realised_profit"),
}
_ENDS = {"": "change", "_low": "low", "_high": "high"}


def _size(world: World) -> str:
    economies, seeds, applicants = world.sizes
    of_each = f"{seeds} training {'seed' if seeds == 1 else 'seeds'} and {applicants:,.0f} test applicants"
    return of_each if economies == 1 else f"{economies} economies with {of_each} each"


def _mean(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """The mean of frames of the same shape, row by row, without NaN."""
    return pd.concat(frames).groupby(level=0, sort=False).mean()
