"""Letters are read by their receivers alone, and believed only as their sender wrote them."""

from dataclasses import fields, replace

import pytest

from fl.errors import ProtocolError
from fl.messages import Head, Letter
from fl.seals import Context, Identity, PublicKeys, is_head_of, seal, sign_head, unseal, verify

BANK, TAX, OTHER = Identity.new(), Identity.new(), Identity.new()
CONTEXT = Context(study="s", model="m/1", step=3, settings="0" * 64, sender="bank", kind="Task")
SAID = b"the rows of the node"
HEAD = sign_head(7, "a" * 64, BANK)


def sent(encrypted: bool = True) -> Letter:
    """A letter of the bank to the tax office, as it travels."""
    return seal(Letter(SAID), CONTEXT, BANK, {"tax": TAX.public}, head=HEAD, encrypted=encrypted)


@pytest.mark.parametrize("encrypted", [True, False])
def test_the_receiver_reads_what_was_written(encrypted: bool) -> None:
    letter = sent(encrypted)
    assert (SAID in letter.content) is not encrypted

    verify(letter, CONTEXT, BANK.public)
    assert unseal(letter, CONTEXT, "tax", TAX).content == SAID


def test_nobody_else_reads_it() -> None:
    with pytest.raises(ProtocolError, match="cannot be opened by tax"):
        unseal(sent(), CONTEXT, "tax", OTHER)
    with pytest.raises(ProtocolError, match="is not for utility"):
        unseal(sent(), CONTEXT, "utility", OTHER)


@pytest.mark.parametrize("encrypted", [True, False])
@pytest.mark.parametrize("name", [item.name for item in fields(Context)])
def test_it_counts_in_its_own_context_only(name: str, encrypted: bool) -> None:
    changed = replace(CONTEXT, **{name: 4 if name == "step" else "else"})
    with pytest.raises(ProtocolError, match="is not signed by it"):
        verify(sent(encrypted), changed, BANK.public)
    if encrypted:
        with pytest.raises(ProtocolError, match="cannot be opened"):
            unseal(sent(), changed, "tax", TAX)


@pytest.mark.parametrize("encrypted", [True, False])
def test_what_was_altered_on_the_way_is_not_believed(encrypted: bool) -> None:
    letter = sent(encrypted)
    spoilt = bytes([letter.content[0] ^ 1]) + letter.content[1:]
    for altered in (
        replace(letter, content=spoilt),
        replace(letter, keys={"tax": letter.keys["tax"], "other": b""}),
        replace(letter, keys={}),
        replace(letter, head=sign_head(8, "a" * 64, BANK)),
        replace(letter, signature=b""),
        replace(letter, signature=bytes(64)),
        replace(
            letter, signature=seal(Letter(SAID), CONTEXT, OTHER, {}, head=HEAD, encrypted=False).signature
        ),
    ):
        with pytest.raises(ProtocolError, match="a letter of bank is not signed by it"):
            verify(altered, CONTEXT, BANK.public)


def test_equal_letters_look_different() -> None:
    first, second = sent(), sent()
    assert first.content != second.content
    assert first.keys != second.keys


def test_an_identity_and_its_public_keys_survive_as_text() -> None:
    assert Identity.of_pem(BANK.pem()).public == BANK.public
    assert PublicKeys.of_text(BANK.public.text) == BANK.public


@pytest.mark.parametrize(
    "content", [b"", b"key", TAX.pem() * 2, TAX.pem()[:200]], ids=["empty", "no PEM", "four keys", "cut off"]
)
def test_what_is_no_identity_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Identity.of_pem(content)


@pytest.mark.parametrize(
    "text",
    ["", "key", "QUJD", BANK.public.text + "AAAA", "ключ"],
    ids=["empty", "short", "too short", "too long", "not Base64"],
)
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError, match="is no public key of a party"):
        PublicKeys.of_text(text)


def test_a_head_is_signed_by_its_party_as_it_is() -> None:
    assert is_head_of(HEAD, BANK.public)
    assert not is_head_of(HEAD, OTHER.public)
    for altered in (replace(HEAD, number=8), replace(HEAD, digest="b" * 64), Head(7, "a" * 64)):
        assert not is_head_of(altered, BANK.public)
