"""What customers are told: the behaviour, the figure at the bank, and how it compares; or whose record it is."""

from types import SimpleNamespace

import numpy as np
import pytest

from clients.data.column import Column
from clients.data.declaration import Declaration, with_reasons
from clients.policy import Policy
from clients.reasons import column_texts, compared
from fl.tables import Table

LATE = Column(
    "late", "numeric", "times", description="Times late", reason="Late payments", reason_zh="逾期次数较多"
)
EVERYONE = np.array([0.0] * 60 + [1.0] * 23 + [5.0] * 10 + [9.0] * 7)


def told(value: float, **changes: object) -> tuple[str, str]:
    column = Column(**{**vars(LATE), **changes})
    (text,) = compared(column, np.array([value]), EVERYONE)
    return text.english, text.chinese


@pytest.mark.parametrize(
    ("value", "changes", "english", "chinese"),
    [
        (
            5,
            {},
            "Late payments (5 times, more than 83 % of applicants)",
            "逾期次数较多（5 times，高于 83% 的申请人）",
        ),
        (
            1.0,
            {"unit": ""},
            "Late payments (1, more than 60 % of applicants)",
            "逾期次数较多（1，高于 60% 的申请人）",
        ),
        # A reason that says that much is little would be untrue, so that the column is described.
        (
            5,
            {"sign": -1},
            "Times late: 5 times, less than 7 % of applicants",
            "Times late：5 times，低于 7% 的申请人",
        ),
        (
            0,
            {"sign": -1, "unit": "ratio"},
            "Times late: 0, less than 40 % of applicants",
            "Times late：0，低于 40% 的申请人",
        ),
        (
            0,
            {},
            "Late payments (0 times, less than 40 % of applicants)",
            "逾期次数较多（0 times，低于 40% 的申请人）",
        ),
        # Nobody has less, so that there is no comparison; a logarithm is no figure for a customer.
        (0, {"sign": 1}, "Times late: 0 times", "Times late：0 times"),
        (
            5,
            {"unit": "log times"},
            "Late payments (more than 83 % of applicants)",
            "逾期次数较多（高于 83% 的申请人）",
        ),
        (0, {"unit": "log times", "sign": 1}, "Times late", "Times late"),
        (np.nan, {}, "Not on record: Times late", "无记录：Times late"),
    ],
)
def test_a_number_is_told_with_its_rank_on_the_side_of_the_risk(
    value: float, changes: dict[str, object], english: str, chinese: str
) -> None:
    assert told(value, **changes) == (english, chinese)


@pytest.mark.parametrize(
    ("allowed", "told"), [(None, "Late payments"), (True, "Late payments"), (False, "A record of tax")]
)
def test_a_party_tells_the_text_of_its_columns_unless_its_policy_forbids_it(
    allowed: bool | None, told: str
) -> None:
    declaration = Declaration("table", "tax", columns=(LATE,), file="table.csv")
    columns, policy = with_reasons(declaration, ()), Policy(reason_texts=allowed)
    session = SimpleNamespace(declaration=declaration, columns=columns, policy=policy)
    table = Table(np.empty((0, 1)), ("late",), np.empty((0, 0), np.int32), (), (), np.empty(0, bool))
    english, _ = column_texts(session, table, np.array([0]))
    assert english.tolist() == [told]
