"""What customers are told: the behaviour, the figure at the bank, and how it compares; or whose record it is."""

import numpy as np
import pytest

from clients.data.declaration import Column
from clients.reasons import compared

LATE = Column(
    "late", "numeric", "times", description="Late payments", reason="Late payments", reason_zh="逾期次数较多"
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
        # Where less is riskier, it is said whom the applicant is below, also if those are few.
        (
            5,
            {"sign": -1},
            "Late payments (5 times, less than 7 % of applicants)",
            "逾期次数较多（5 times，低于 7% 的申请人）",
        ),
        (
            0,
            {},
            "Late payments (0 times, less than 40 % of applicants)",
            "逾期次数较多（0 times，低于 40% 的申请人）",
        ),
        # Nobody has less, so that there is no comparison; a logarithm is no figure for a customer.
        (0, {"sign": 1}, "Late payments (0 times)", "逾期次数较多（0 times）"),
        (
            5,
            {"unit": "log times"},
            "Late payments (more than 83 % of applicants)",
            "逾期次数较多（高于 83% 的申请人）",
        ),
        (0, {"unit": "log times", "sign": 1}, "Late payments", "逾期次数较多"),
        (np.nan, {}, "Not on record: Late payments", "无记录：Late payments"),
    ],
)
def test_a_number_is_told_with_its_rank_on_the_side_of_the_risk(
    value: float, changes: dict[str, object], english: str, chinese: str
) -> None:
    assert told(value, **changes) == (english, chinese)
