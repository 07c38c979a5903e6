"""Every column of the built-in party types has a reason for the customer, in English and in Chinese."""

import re

import pytest

from clients.parties.bank import BankParty
from clients.parties.base import Party
from clients.parties.supply_chain import SupplyChainParty
from clients.parties.tax import TaxParty


@pytest.mark.parametrize("kind", [BankParty, TaxParty, SupplyChainParty])
def test_every_column_has_a_reason_in_both_languages(kind: type[Party]) -> None:
    assert list(kind.reasons) == [column.name for column in kind.columns]
    for english, chinese in kind.reasons.values():
        assert re.fullmatch(r"[A-Z][a-z ]+", english), english
        assert re.fullmatch(r"[\u4e00-\u9fff]+", chinese), chinese
    texts = [text for pair in kind.reasons.values() for text in pair]
    assert len(set(texts)) == len(texts)
