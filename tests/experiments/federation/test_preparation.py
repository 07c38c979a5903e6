"""What is prepared for a federation on this machine: what is missing is made, and what is there stays."""

import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from clients.data.declaration import read_declaration, write_declaration
from clients.identity import read_identity
from experiments.federation.certificates import make_certificates, make_node_key
from experiments.federation.layout import Layout
from experiments.federation.preparation import prepare_parties


@pytest.fixture
def folders(make_tables: Callable[..., Path]) -> list[Path]:
    data = make_tables(("tax",))
    return [data / "bank", data / "tax"]


def test_keys_are_made_and_pinned_and_nothing_else_changes(folders: list[Path]) -> None:
    before = [read_declaration(folder) for folder in folders]
    texts = [(folder / "party.toml").read_text() for folder in folders]

    told = list(prepare_parties(folders))

    assert [sentence.partition(":")[0] for sentence in told] == ["bank", "tax", "bank", "tax"]
    keys = {folder.name: read_identity(folder).public.text for folder in folders}
    for folder, about, text in zip(folders, before, texts, strict=True):
        partners = {name: key for name, key in keys.items() if name != folder.name}
        assert read_declaration(folder) == replace(about, partners=partners)
        assert (folder / "party.toml").read_text().startswith(text.rstrip())
    assert list(prepare_parties(folders)) == []


def test_what_a_party_has_written_stays_though_it_will_not_do(folders: list[Path]) -> None:
    bank = folders[0]
    write_declaration(bank, replace(read_declaration(bank), partners={"tax": "no key"}))

    doubt = list(prepare_parties(folders))[2]

    assert read_declaration(bank).partners == {"tax": "no key"}
    assert doubt.startswith("bank: its party.toml has another key of tax under [partners], and it stays")


def test_the_authority_stays_and_signs_a_fresh_certificate_for_this_machine(tmp_path: Path) -> None:
    coordinator = Layout(tmp_path).coordinator
    coordinator.folder.mkdir(parents=True)
    assert make_certificates(coordinator)
    authority, first = coordinator.authority.read_bytes(), coordinator.certificate.read_bytes()

    assert not make_certificates(coordinator)

    assert coordinator.authority.read_bytes() == authority
    assert coordinator.certificate.read_bytes() != first
    for secret in (coordinator.authority_key, coordinator.key):
        assert secret.stat().st_mode & 0o077 == 0
    certificate = x509.load_pem_x509_certificate(coordinator.certificate.read_bytes())
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(coordinator.certificate, coordinator.key)


def test_the_key_of_a_supernode_is_made_once_and_is_private(tmp_path: Path) -> None:
    node = Layout(tmp_path).party("tax")
    node.folder.mkdir(parents=True)
    assert make_node_key(node)
    content = node.key.read_bytes()

    assert not make_node_key(node)

    assert node.key.read_bytes() == content
    assert node.key.stat().st_mode & 0o077 == 0
    public = load_ssh_private_key(content, None).public_key()
    assert public == load_ssh_public_key(node.public_key.read_bytes())
    assert public.key_size == 384
