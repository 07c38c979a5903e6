"""Every type of the project keeps the contract, and every check fails for a type that breaks what it is about."""

import itertools
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from clients.data.column import Column
from clients.data.contract import Breach, check_party, find_party, verdicts
from clients.data.contract.checks import CHECKS
from clients.data.contract.specimen import Specimen
from clients.data.declaration import Declaration
from clients.data.errors import DataError
from clients.parties import origins, party_type
from clients.parties.bank import BankParty
from clients.parties.base import Party
from clients.parties.monthly import Panel, mean, total
from clients.parties.table import TableParty


class Telecom(Party):
    """A small type that keeps the contract; the broken ones below differ from it in one point each."""

    type = "telecom"
    tables: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "calls": ("business_id", "month", "calls", "minutes"),
        "contracts": ("business_id", "month", "plan"),
    }
    columns = (
        Column("minutes_12m", "numeric", "minutes", "Mean monthly minutes", -1, 4),
        Column("minutes_a_call", "numeric", "minutes", "Minutes per call", 0, 4),
        Column("plan", "categorical", description="Latest plan", grade=2),
    )

    def features(self, records: Mapping[str, pd.DataFrame], as_of: pd.Series) -> pd.DataFrame:
        calls = Panel(records["calls"], as_of)
        minutes, number = total(calls["minutes"], 0, 12), total(calls["calls"], 0, 12)
        plans = records["contracts"].sort_values("month").groupby("business_id")["plan"].last()
        return pd.DataFrame(
            {
                "minutes_12m": mean(calls["minutes"], 0, 12),
                "minutes_a_call": np.divide(
                    minutes, number, out=np.full(len(as_of), np.nan), where=number > 0
                ),
                "plan": plans.reindex(as_of.index),
            },
            index=as_of.index,
        )


class NoUnit(Telecom):
    columns = (Column("minutes_12m", "numeric", description="Mean monthly minutes"), *Telecom.columns[1:])


class NoName(Telecom):
    type = "Tele com"


class LowerGrades(Telecom):
    @classmethod
    def default_declaration(cls, folder) -> Declaration:
        columns = tuple(Column(c.name, c.kind, c.unit, c.description, c.sign, 1) for c in cls.columns)
        return Declaration(cls.type, folder.name, columns=columns)


class Forgetful(Telecom):
    def features(self, records, as_of):
        return super().features(records, as_of).drop(columns="plan")


class AlwaysMissing(Telecom):
    def features(self, records, as_of):
        return super().features(records, as_of).assign(plan=None)


class Noisy(Telecom):
    noise = itertools.count()

    def features(self, records, as_of):
        frame = super().features(records, as_of)
        return frame.assign(minutes_12m=frame["minutes_12m"] + next(self.noise))


class LastRow(Telecom):
    def features(self, records, as_of):
        plans = records["contracts"].groupby("business_id")["plan"].last()
        return super().features(records, as_of).assign(plan=plans.reindex(as_of.index))


class Ranked(Telecom):
    def features(self, records, as_of):
        frame = super().features(records, as_of)
        return frame.assign(minutes_12m=frame["minutes_12m"].rank())


class LooksAhead(Telecom):
    def features(self, records, as_of):
        minutes = self.records.tables["calls"].groupby("business_id")["minutes"].mean()
        frame = super().features(records, as_of)
        return frame.assign(minutes_12m=minutes.reindex(as_of.index).where(frame["minutes_12m"].notna()))


class Undated(Telecom):
    tables: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **Telecom.tables,
        "visits": ("business_id", "day", "shop"),
    }
    text = ("day", "shop")


class SeesLabel(BankParty):
    def features(self, records, as_of):
        labels = self.records.tables["applications"].set_index("business_id")["default"].reindex(as_of.index)
        return super().features(records, as_of).assign(returned_payments_12m=labels.astype(float))


class OnlyKnown(Telecom):
    def features(self, records, as_of):
        frame = super().features(records, as_of)
        return frame.loc[sorted(set(as_of.index) & set(records["contracts"]["business_id"]))]


class ZeroForUnknown(Telecom):
    def features(self, records, as_of):
        frame = super().features(records, as_of)
        return frame.assign(minutes_12m=frame["minutes_12m"].fillna(0))


class Talkative(Telecom):
    def matrix(self, ids, months=None):
        return super().matrix(ids, months).assign(internal_note=1.0)


class NamesBusinesses(Telecom):
    def features(self, records, as_of):
        return super().features(records, as_of).assign(plan=as_of.index)


class NeedsHistory(Telecom):
    def features(self, records, as_of):
        if len(records["calls"]) == 1:
            raise ValueError("a trend needs two months")
        return super().features(records, as_of)


class DividesByZero(Telecom):
    def features(self, records, as_of):
        sums = records["calls"].groupby("business_id")[["minutes", "calls"]].sum().reindex(as_of.index)
        ratio = np.where(sums["calls"] == 0, np.inf, sums["minutes"] / sums["calls"].replace(0, 1))
        return super().features(records, as_of).assign(minutes_a_call=ratio)


class NeedsMonths(Telecom):
    def features(self, records, as_of):
        frame = super().features(records, as_of)
        return frame.assign(minutes_12m=frame["minutes_12m"].where(as_of.notna()))


BROKEN = (
    ("schema complete", NoUnit, "column 'minutes_12m' has no unit"),
    ("schema complete", NoName, "the type's name is 'Tele com'"),
    ("grades present", LowerGrades, "'minutes_12m' is declared with grade 1 where the class says 4"),
    ("every column computed", Forgetful, "lack the declared columns 'plan'"),
    ("every column computed", AlwaysMissing, "no business has a value in 'plan'"),
    ("deterministic", Noisy, "column 'minutes_12m' changes when the same records are opened again"),
    ("order of rows", LastRow, "column 'plan' changes when the rows of the records are reversed"),
    ("each business by itself", Ranked, "column 'minutes_12m' changes when other businesses are asked for"),
    ("no look-ahead", LooksAhead, "column 'minutes_12m' changes when later records are changed"),
    ("no look-ahead", Undated, "table 'visits' has no column 'month'"),
    ("label unused", SeesLabel, "column 'returned_payments_12m' changes when labels are turned"),
    ("unknown businesses", OnlyKnown, "must be indexed exactly as `as_of` is"),
    ("unknown businesses", ZeroForUnknown, "records are all later than its observation month has features"),
    ("nothing undeclared leaves", Talkative, "'internal_note' leave where 'minutes_12m' are declared"),
    ("nothing undeclared leaves", NamesBusinesses, "a level of the category 'plan' is the id of a business"),
    ("empty and one-row inputs", NeedsHistory, "ValueError: a trend needs two months"),
    ("zeros", DividesByZero, "column 'minutes_a_call': the value of business 'business-0000' is infinite"),
    ("no observation months", NeedsMonths, "no business has a value in 'minutes_12m'"),
)


# Other packages that are installed here answer for their own types.
@pytest.mark.parametrize("name", [o.name for o in origins() if o.distribution == "siloscore"])
def test_every_type_of_the_project_keeps_the_contract(name: str) -> None:
    check_party(party_type(name))


def test_a_type_that_keeps_the_contract_passes() -> None:
    check_party(Telecom)


@pytest.mark.parametrize(
    ("check", "kind", "problem"), BROKEN, ids=lambda value: getattr(value, "__name__", "")
)
def test_every_check_fails_for_a_type_that_breaks_it(check: str, kind: type[Party], problem: str) -> None:
    (put,) = (known for known in CHECKS if known.name == check)

    with Specimen(kind) as specimen:
        found = put.problem(specimen)

    assert problem in found
    assert found.endswith(put.advice)


def test_every_check_is_seen_to_fail() -> None:
    assert {check for check, _, _ in BROKEN} == {check.name for check in CHECKS}


def test_all_that_is_wrong_is_told_at_once() -> None:
    class Careless(Noisy):
        columns = NoUnit.columns

    with pytest.raises(Breach) as caught:
        check_party(Careless)

    lines = str(caught.value).splitlines()
    assert lines[0].startswith("party type ")
    assert {"schema complete", "deterministic"} <= {line.partition(":")[0] for line in lines[1:]}


def test_a_type_may_bring_its_own_examples() -> None:
    class Coded(Telecom):
        text = ("plan",)

        def features(self, records, as_of):
            known = {"basic": "small", "office": "large"}
            frame = super().features(records, as_of)
            return frame.assign(plan=frame["plan"].map(known))

    problem = verdicts(Coded)["every column computed"]
    assert "write the class method `example_records(as_of)`" in problem

    class Example(Coded):
        @classmethod
        def example_records(cls, as_of):
            months = as_of.to_numpy().astype("datetime64[s]")
            calls = {"business_id": as_of.index, "month": months, "calls": 3.0, "minutes": 9.0}
            plans = {"business_id": as_of.index, "month": months, "plan": "office"}
            return {"calls": pd.DataFrame(calls), "contracts": pd.DataFrame(plans)}

    check_party(Example)


def test_a_type_is_found_by_its_name_or_by_its_module_and_class() -> None:
    assert find_party("bank") is BankParty
    assert find_party("clients.parties.table:TableParty") is TableParty


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("bonk", "there is no party type 'bonk'. Did you mean 'bank'?"),
        ("no_such_package:X", r"no_such_package:X cannot be imported: ModuleNotFoundError"),
        ("clients.parties.bank:Bonk", r"cannot be imported: AttributeError"),
        ("pathlib:Path", "pathlib:Path is not a subclass of clients.parties.base.Party"),
    ],
)
def test_what_is_no_type_is_said_so(name: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        find_party(name)
