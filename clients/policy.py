"""What a party allows a run to ask of it: the table `[policy]` of its `party.toml`.

A party checks its policy before it answers anything (`clients/answering.py`). Each rule bounds settings of the run, the
data grade of columns that leave in some form, or what is asked in a day; the annotation of its field says how, and in
which words a refused run hears of it (`clients/bounds.py`). To add a rule, add a field here, and to `DEFAULTS` what
binds a deployed party that has not written it.
"""

import glob
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, TypeAlias, get_type_hints

from clients.bounds import Bound, among, exactly, files, least, most, noise
from clients.data.errors import check
from fl import protocols
from fl.config.run import RunConfig, ScoringConfig, TrainingConfig
from fl.errors import ProtocolError
from fl.messages import Content, Reader, declaration_of, fields_of
from fl.protocols import Conversation
from fl.rules import Rule

PINNED, FIRST_USE = "pinned", "first-use"
"""Partners whose keys stand in `[partners]` of `party.toml`; partners whose keys are taken as they introduce them."""


class PolicyError(ProtocolError):
    """A run asks for what a party's policy does not allow; the text is what follows "the policy of tax"."""


def _written(allowed: str, test: Callable[[Any], bool]) -> Rule:
    """What may stand in `party.toml`; a rule that does not stand there is None."""
    return Rule(allowed, lambda value: value is None or test(value))


def _are_words(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(word, str) and word for word in value)


_NUMBER = _written("a whole number from 1", lambda value: type(value) is int and value >= 1)
_Count: TypeAlias = Annotated[int | None, _NUMBER]
_Grade: TypeAlias = Annotated[
    int | None,
    _written("a whole number from 0 (no column) to 5", lambda value: type(value) is int and 0 <= value <= 5),
]
_Noise: TypeAlias = Annotated[
    float | None, _written("a number, 0 or more", lambda value: type(value) in (int, float) and value >= 0)
]
_Words: TypeAlias = Annotated[
    tuple[str, ...] | None, _written('a list of texts, such as ["boosting"]', _are_words)
]
_Flag: TypeAlias = Annotated[bool | None, _written("true or false", lambda value: isinstance(value, bool))]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The rules of a party; None where it has no such rule.

    conversations       those that train models, and `scoring`, by name; all the others only serve these
    encryption          engines of encrypted sums
    defences            of the labels in the network's gradients; `none` switches it off
    least_noise         standard deviation of that noise, in units of the batch's largest row norm
    least_batch         rows of a training batch
    least_group         goods, and bads, of a group of the scorecard (`scorecard.min-group`)
    least_bin_count     training rows of a bin (`boosting.min-bin-count`)
    least_leaf_count    training rows of a leaf (`boosting.min-leaf-count`)
    most_bins           of a column
    most_depth          levels of splits in a tree
    most_trees          of a model
    most_exchanges      of a scorecard
    most_batches        of a network
    most_embedding      numbers per row that a party sends to the bank
    padded_sides        whether the coordinator may hold sides of rows under a pad (`boosting.sealed-sides`)
    bank_grows_first    whether the bank has to grow the first tree alone (`boosting.first-tree-bank-only`)
    ciphertext_grade    highest grade of a column that leaves encrypted, in numbers that the key's owner may sum up only
    padded_grade        likewise, in bits of rows under a one-time pad
    aggregate_grade     likewise, in numbers about groups of businesses
    per_row_grade       likewise, in a number, bit or point for each business; sealed to a party, as all of them are
    most_epsilon        of the noise on sums of several banks (`banks.epsilon`), 0 of a run being none
    most_delta          likewise (`banks.delta`)
    two_banks           whether two banks may train together alone (`banks.allow-two`)
    hand_over           whether a model of several banks may be handed to a bank that joins them (`fl/joining.py`)
    alignments_per_day  studies that a training begins
    models_per_day      models whose training begins; each adds fresh noise to the same labels
    applicants_per_day  businesses that scoring asks about
    least_applicants    that a run scores, since of a single one each party learns that it applies now
    reason_texts        whether the bank is told, once a training has ended, what customers are to be told by columns
    keep_studies        trained studies, and as many others, that a run cannot push out by a smaller `keep-studies`
    test_ids            folders, or patterns such as `tests/*.txt`, of files that `test-ids` may name at the label
                        holder; relative to the party's folder
    applicants          likewise, for `applicants` of a run that scores
    partners            `pinned`: only those whose keys stand in `[partners]`; `first-use`: others, too

    Raises DataError for a value that is not allowed.
    """

    conversations: Annotated[_Words, among("the conversations {}")] = None
    encryption: Annotated[
        _Words, among("the encryption by {}", "boosting.encryption", "scorecard.encryption")
    ] = None
    defences: Annotated[_Words, among("the defence by {}", "network.defence")] = None
    least_noise: Annotated[_Noise, least("noise of {:g} at least", "network.noise")] = None
    least_batch: Annotated[_Count, least("batches of {} rows at least", "network.batch-size")] = None
    least_group: Annotated[_Count, least("groups of {} goods and bads at least", "scorecard.min-group")] = (
        None
    )
    least_bin_count: Annotated[_Count, least("bins of {} rows at least", "boosting.min-bin-count")] = None
    least_leaf_count: Annotated[_Count, least("leaves of {} rows at least", "boosting.min-leaf-count")] = None
    most_bins: Annotated[_Count, most("at most {} bins of a column", "boosting.bins", "scorecard.bins")] = (
        None
    )
    most_depth: Annotated[_Count, most("trees of at most {} levels", "boosting.depth")] = None
    most_trees: Annotated[_Count, most("at most {} trees", "boosting.trees")] = None
    most_exchanges: Annotated[_Count, most("at most {} exchanges", "scorecard.exchanges")] = None
    most_batches: Annotated[_Count, most("at most {:,} batches", "network.batches")] = None
    most_embedding: Annotated[
        _Count, most("embeddings of at most {} numbers per row", "network.embedding")
    ] = None
    padded_sides: Annotated[
        _Flag,
        exactly(
            {
                True: "the coordinator to hold sides of rows under a pad",
                False: "no sides of rows at the coordinator",
            },
            False,
            "boosting.sealed-sides",
        ),
    ] = None
    bank_grows_first: Annotated[
        _Flag,
        exactly(
            {
                True: "no first tree but one that the bank grows alone",
                False: "the first tree to be grown by all parties",
            },
            True,
            "boosting.first-tree-bank-only",
        ),
    ] = None
    most_epsilon: Annotated[
        _Noise, noise("sums of several banks under noise of an epsilon of at most {}", "banks.epsilon")
    ] = None
    most_delta: Annotated[
        _Noise, most("sums of several banks under noise of a delta of at most {}", "banks.delta")
    ] = None
    two_banks: Annotated[
        _Flag,
        exactly(
            {
                True: "two banks alone to train together",
                False: "no sums of two banks alone, of which each would have the other's part",
            },
            False,
            "banks.allow-two",
        ),
    ] = None
    hand_over: Annotated[
        _Flag,
        exactly(
            {
                True: "models of several banks to be handed to a bank that joins",
                False: "no model of several banks to be handed to another bank",
            },
            False,
        ),
    ] = None
    ciphertext_grade: Annotated[
        _Grade, most("columns up to grade {} to leave as ciphertext", form=Content.CIPHERTEXT)
    ] = None
    padded_grade: Annotated[
        _Grade, most("columns up to grade {} to leave under a pad", form=Content.PADDED)
    ] = None
    aggregate_grade: Annotated[
        _Grade, most("columns up to grade {} to leave as aggregates", form=Content.AGGREGATE)
    ] = None
    per_row_grade: Annotated[
        _Grade, most("columns up to grade {} to leave per row", form=Content.PER_ROW)
    ] = None
    alignments_per_day: Annotated[_Count, most("at most {} alignments for training a day")] = None
    models_per_day: Annotated[_Count, most("at most {} models a day to be trained")] = None
    applicants_per_day: Annotated[_Count, most("at most {:,} applicants a day to be scored")] = None
    least_applicants: Annotated[_Count, least("scoring of at least {} applicants at a time")] = None
    reason_texts: Annotated[
        _Flag,
        exactly(
            {
                True: "the bank to be told what customers are told by its columns",
                False: "nobody to be told what its columns are about",
            },
            False,
        ),
    ] = None
    keep_studies: Annotated[_Count, most("no run to push out the last {} studies of a kind")] = None
    test_ids: Annotated[_Words, files("test ids in files of {} only")] = None
    applicants: Annotated[_Words, files("applicants in files of {} only")] = None
    partners: Annotated[
        str | None,
        _written(f"'{PINNED}' or '{FIRST_USE}'", lambda value: value in (PINNED, FIRST_USE)),
        exactly(
            {
                PINNED: "only partners whose keys stand in its party.toml",
                FIRST_USE: "partners that it meets for the first time",
            },
            PINNED,
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuses values that are not allowed."""
        check(self)

    @property
    def written(self) -> dict[str, Any]:
        """The rules that it has, by name."""
        return {one.name: value for one in fields(self) if (value := getattr(self, one.name)) is not None}

    def with_defaults(self) -> "Policy":
        """The policy of a deployed party: `DEFAULTS`, but for what is written."""
        return replace(DEFAULTS, **self.written)

    def in_words(self, rule: str) -> str:
        """What a rule allows, in words that follow "it allows"."""
        return bounds()[rule].words(getattr(self, rule))

    def require(self, rule: str, asked: object, named: object = "") -> None:
        """Raises PolicyError, which says what is allowed, if there is such a rule and it does not allow this.

        named is how the run asks for it, if not by the value itself.
        """
        allowed = getattr(self, rule)
        if allowed is not None and not bounds()[rule].keeps(asked, allowed):
            raise PolicyError(
                f"allows {self.in_words(rule)} (policy.{rule}), and the run asks for {named or asked}"
            )

    def require_conversation(
        self, conversation: Conversation, config: RunConfig, grade: int, holds_label: bool
    ) -> None:
        """Raises PolicyError unless it allows the conversation under the settings of a run.

        grade is the highest of the party's columns, 0 if it has none. A conversation that only serves others is allowed
        unless none of those that the run wants is.
        """
        refusals = []
        for one in [conversation] if _is_chosen(conversation) else _wanted(config):
            try:
                return self._require_chosen(one, config, grade, holds_label)
            except PolicyError as error:
                refusals.append(error)
        if refusals:
            raise refusals[0]

    def _require_chosen(
        self, conversation: Conversation, config: RunConfig, grade: int, holds_label: bool
    ) -> None:
        self.require("conversations", conversation.name)
        forms = forms_of(conversation, holds_label)
        for rule, bound in bounds().items():
            if bound.form in forms:
                self.require(rule, grade, f"grade {grade}")
            for setting in bound.settings:
                section, _, name = setting.partition(".")
                if section in (conversation.name, *conversation.follows):
                    asked = getattr(config.sections[section], name.replace("-", "_"))
                    self.require(rule, asked, f"{setting}={asked}".lower() if type(asked) is bool else "")

    def require_file(self, rule: str, file: str, folder: Path) -> None:
        """Raises PolicyError if it does not allow the file that a run names; folder is the party's."""
        path = Path(file).resolve()
        for pattern in getattr(self, rule) or ():
            in_folder = path.is_relative_to((folder / pattern).resolve())
            if in_folder or path.match(str(Path(glob.escape(str(folder.resolve())), pattern))):
                return
        self.require(rule, file)


DEFAULTS = Policy(
    # Of another protocol's settings no rule knows which weaken a defence, so its people have to allow it themselves.
    conversations=(
        "boosting",
        "network",
        "scorecard",
        "blend",
        "banks",
        "hybrid",
        "hybrid_scorecard",
        "scoring",
    ),
    encryption=("lattice", "paillier"),
    defences=("gaussian",),
    least_noise=4.0,
    least_batch=256,
    least_group=20,
    least_bin_count=10,
    least_leaf_count=40,
    most_bins=32,
    most_depth=6,
    most_trees=200,
    most_exchanges=100,
    most_batches=1_000,
    most_embedding=64,
    two_banks=False,
    hand_over=False,
    ciphertext_grade=4,
    padded_grade=4,
    aggregate_grade=4,
    per_row_grade=4,
    alignments_per_day=20,
    models_per_day=100,
    applicants_per_day=100_000,
    least_applicants=10,
    reason_texts=True,
    keep_studies=5,
    test_ids=(".",),
    applicants=(".",),
    partners=PINNED,
)
"""Binds a deployed party where it has written nothing else: no defence weaker than by the defaults of a run."""


@dataclass(frozen=True)
class Asked:
    """How much was asked of a party on a day (an ISO date), by the rule that counts it."""

    day: str
    counts: Mapping[str, int] = field(default_factory=dict)

    def more(self, rule: str, count: int, day: str) -> "Asked":
        """The same after `count` more; another day begins at nothing."""
        counts = self.counts if day == self.day else {}
        return Asked(day, {**counts, rule: counts.get(rule, 0) + count})


@lru_cache(maxsize=1)
def bounds() -> dict[str, Bound]:
    """What each rule bounds, by its name."""
    return {
        name: note
        for name, hint in get_type_hints(Policy, include_extras=True).items()
        for note in hint.__metadata__
        if isinstance(note, Bound)
    }


def _is_chosen(conversation: Conversation) -> bool:
    """Whether a party chooses if it holds a conversation: it trains a model, or scores by one."""
    return bool(conversation.contenders) or conversation.name == ScoringConfig.task


def _wanted(config: RunConfig) -> list[Conversation]:
    """The conversations for which a run is made."""
    if isinstance(config, TrainingConfig):
        offered = protocols.federated_contenders()
        return [offered[name] for name in config.contenders if name in offered]
    return [one for one in protocols.CONVERSATIONS if one.name == config.task]


def forms_of(conversation: Conversation, holds_label: bool) -> frozenset[Content]:
    """In which forms what a party makes of its columns leaves it by a conversation, as the messages declare it."""
    return _forms(conversation.requests, holds_label)


@lru_cache(maxsize=64)
def _forms(requests: tuple[type[Any], ...], holds_label: bool) -> frozenset[Content]:
    asked = Reader.LABEL_HOLDER if holds_label else Reader.PASSIVE
    replies = [
        reply
        for kind in requests
        if declaration_of(kind).to in (asked, Reader.PARTIES)
        for reply in declaration_of(kind).replies
    ]
    return frozenset(told.content for reply in replies for told in fields_of(reply))
