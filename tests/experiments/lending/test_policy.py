from pathlib import Path

import numpy as np
import pytest

from experiments.lending.policy import DEFAULT, CashFlow, Policy, read_policy
from fl.errors import ConfigError
from fl.tables import Table


def write(folder: Path, text: str) -> Path:
    path = folder / "policy.toml"
    path.write_text(text, "utf-8")
    return path


def bank(**columns: list[float]) -> Table:
    rows = len(next(iter(columns.values())))
    numeric = np.array(list(columns.values()), dtype=float).T
    return Table(numeric, tuple(columns), np.zeros((rows, 0), np.int32), (), (), np.ones(rows, bool))


def test_the_file_that_ships_says_what_the_code_does() -> None:
    policy, cash_flow = read_policy(DEFAULT)
    assert policy == Policy()
    assert cash_flow.column == "inflow_12m"


def test_the_documentation_shows_the_file_that_ships() -> None:
    page = (Path(__file__).parents[3] / "docs" / "report.md").read_text("utf-8")
    assert f"```toml\n{DEFAULT.read_text('utf-8')}```" in page


def test_a_file_changes_what_it_names_only(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '[cut-off]\nchoose = "bad-rate"\ntarget = 0.02\n[line]\ngrades = [[0.03, 0.2], [1, 0.1]]\n'
        '[cash-flow]\ncolumn = "turnover"\nscale = "linear"\n',
    )
    policy, cash_flow = read_policy(path)
    assert policy == Policy(choose="bad-rate", target=0.02, grades=((0.03, 0.2), (1.0, 0.1)))
    assert cash_flow == CashFlow("turnover", "linear")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[prise]\nmargin = 1", "there is no section 'prise'. Did you mean 'price'?"),
        ("[price]\nmargn = 1", r"there is no key in \[price\] 'margn'. Did you mean 'margin'?"),
        ("price = 1", r"price must be a section, written \[price\]"),
        ('[price]\nmargin = "1 %"', r"margin in \[price\] must be a number, not '1 %'"),
        ("[line]\ngrades = [0.1, 0.2]", r"grades in \[line\] must be pairs of numbers"),
        ("[cut-off]\nchoose = 1", r"choose in \[cut-off\] must be text, not 1"),
        (
            '[cut-off]\nequal = "luck"',
            "The policy's equal must be approval-rate or true-positive-rate, not 'luck'",
        ),
        ("[cut-off]\nmaximum-pd = 2", "policy.toml: The policy's maximum-pd must be from 0 to 1, not 2.0"),
        ('[cash-flow]\nscale = "cubic"', "scale must be log or linear, not 'cubic'"),
        ("[cash-flow]\nusual = -1", "usual cash flow must be 0 or more"),
        ("[price", "is not valid TOML"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_policy(write(tmp_path, text))


def test_a_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no policy file"):
        read_policy(tmp_path / "none.toml")


def test_cash_flow_is_read_in_its_scale() -> None:
    table = bank(other=[1, 1, 1], inflow=[np.log1p(100), 0.0, np.nan])
    np.testing.assert_allclose(CashFlow("inflow").of(table), [100, 0, np.nan])
    np.testing.assert_allclose(CashFlow("inflow", "linear").of(bank(inflow=[100, -5])), [100, 0])


def test_without_a_column_everybody_has_the_usual_cash_flow() -> None:
    np.testing.assert_array_equal(CashFlow(usual=7.0).of(bank(x=[1, 2])), [7, 7])


def test_a_column_that_the_bank_has_not_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"no numeric column 'inflow'.* It has a, b. Name one of them"):
        CashFlow("inflow").of(bank(a=[1], b=[2]))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"choose": "luck"}, "choose must be profit, approval-rate, bad-rate, none, not 'luck'"),
        ({"loss_given_default": 1.2}, "loss-given-default must be from 0 to 1, not 1.2"),
        ({"funding_cost": float("nan")}, "funding-cost must be 0 or more, not nan"),
        ({"minimum_line": 2e6}, r"maximum-line must be 2e\+06 \(minimum-line\) or more"),
        ({"grades": ()}, "grades must be one grade or more"),
        ({"grades": ((0.02, 0.1), (0.01, 0.1))}, "grades must be of rising PD"),
        ({"grades": ((0.01, 0.1), (0.02, 0.2))}, "grades must be of shares of 0 or more that do not rise"),
    ],
)
def test_a_policy_must_make_sense(values: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Policy(**values)


def test_groups_must_be_a_segment_or_sensitive_column_of_the_bank() -> None:
    Policy().check(())
    Policy(groups="gender").check(("area", "gender"))
    with pytest.raises(
        ConfigError, match=r"groups must be a segment or .* bank \(area, size\), not 'gender'"
    ):
        Policy(groups="gender").check(("area", "size"))
