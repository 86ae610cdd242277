"""The playground's certificates: what Python and Go ask of a chain."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509

from playground.node.certificates import Authority, signing_key


def _read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_the_authority_says_what_it_may_sign(tmp_path: Path) -> None:
    authority = _read(Authority(tmp_path).pair.certificate)
    usage = authority.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical and usage.value.key_cert_sign and usage.value.crl_sign
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_leaf_names_its_issuers_key_its_user_and_its_hosts(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    leaf = _read(authority.issue("node", "system:node:a", ["system:nodes"], ["a", "10.0.0.1"]).certificate)
    issuer = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    own = _read(authority.pair.certificate).extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    assert issuer.key_identifier == own.value.digest
    assert leaf.subject.rfc4514_string() == "CN=system:node:a,O=system:nodes"
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["a", "10.0.0.1"]


def test_everything_is_made_once_and_keys_are_private(tmp_path: Path) -> None:
    first = Authority(tmp_path).issue("admin", "admin").certificate.read_bytes()
    assert Authority(tmp_path).issue("admin", "admin").certificate.read_bytes() == first
    assert signing_key(tmp_path / "sa.key").read_bytes() == signing_key(tmp_path / "sa.key").read_bytes()
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("*.key")} == {0o600}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_python_accepts_the_chain_at_its_strictest(tmp_path: Path, host: str) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("server", "server", hosts=["localhost", "127.0.0.1"])
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(pair.certificate, pair.key)
    asking = ssl.create_default_context(cafile=str(authority.pair.certificate))
    asking.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    here, there = socket.socketpair()

    def serve() -> None:
        with serving.wrap_socket(there, server_side=True) as connection:
            connection.sendall(b"hello")

    server = threading.Thread(target=serve)
    server.start()
    with asking.wrap_socket(here, server_hostname=host) as connection:
        assert connection.recv(5) == b"hello"
    server.join()
