"""Hostile answers are bounded, and no credential follows where they lead."""

import threading
import tracemalloc
from collections.abc import Mapping

import dask
import pytest

from tests.client._doctor import servers
from tests.client._doctor.test_planted_faults import examined, failed
from tests.client.gateway_site import PASSWORD, Site


class Recorded:
    """Pages that ask for a login, and keep what they are sent."""

    def __init__(self, after: tuple[int, dict[str, str], bytes]) -> None:
        self.after = after
        self.credentials: list[str] = []

    def page(self, path: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        if "Authorization" in headers:
            self.credentials.append(headers["Authorization"])
        if path == "/api/version":
            return 200, {}, b'{"version": "1"}'
        return self.after if "Authorization" in headers else (401, {}, b"")


def test_no_credential_follows_a_redirect_of_the_gateway(site: Site) -> None:
    elsewhere = Recorded((200, {}, b"{}"))
    with servers.pages(elsewhere.page) as other:
        for status in (301, 302, 307, 308):
            there = {"Location": f"http://user:secret-in-it@127.0.0.1:{other}/api/v1/clusters/?token=abc#abc"}
            gateway = Recorded((status, there, b""))
            with servers.pages(gateway.page) as port:
                report = examined(f"http://127.0.0.1:{port}", proxy_address=site.address.partition("//")[2])
            assert failed(report).check == "login"
            assert f"status {status}, on to http://127.0.0.1:{other}/api/v1/clusters/" in failed(report).said
            assert "abc" not in str(report)
            assert "secret-in-it" not in str(report)
            assert len(gateway.credentials) == 1
    assert elsewhere.credentials == []


def test_a_redirect_of_everybody_names_the_place_and_gets_no_credential(site: Site) -> None:
    asked: list[Mapping[str, str]] = []

    def page(path: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        asked.append(headers)
        return 302, {"Location": "https://login.example/hub/login?next=x"}, b""

    with servers.pages(page) as port:
        report = examined(f"http://127.0.0.1:{port}", proxy_address=site.address.partition("//")[2])
    assert failed(report).check == "gateway"
    assert "sends everybody on to https://login.example/hub/login" in failed(report).said
    assert "next=x" not in str(report)
    assert not any("Authorization" in headers for headers in asked)


def test_a_body_without_end_is_left(site: Site) -> None:
    huge = b" " * 64 * 2**20
    with servers.pages(lambda path, headers: (200, {}, huge)) as port:
        tracemalloc.start()
        report = examined(f"http://127.0.0.1:{port}", proxy_address=site.address.partition("//")[2])
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert failed(report).check == "gateway"
    assert "the answer has more than 4194304 bytes" in failed(report).said
    assert most < 32 * 2**20


def test_an_answer_that_never_ends_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("htcdaskgateway._doctor.http._SECONDS", 1.0)
    over = threading.Event()

    def page(path: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        over.wait(20)
        return 200, {}, b""

    with servers.pages(page) as port:
        report = examined(f"http://127.0.0.1:{port}", proxy_address=site.address.partition("//")[2])
        over.set()
    assert failed(report).check == "gateway"
    assert "no answer in time" in failed(report).said or "Timeout" in failed(report).said


def test_what_a_gateway_says_moves_no_cursor_and_has_no_credential(site: Site) -> None:
    said = f'{{"error": "no \\u001b[2J\\n\\u202e {PASSWORD} YWRhOnNlc2FtZQ=="}}'.encode()  # ada:sesame
    with servers.pages(Recorded((418, {}, said)).page) as port:
        report = examined(f"http://127.0.0.1:{port}", proxy_address=site.address.partition("//")[2])
    assert failed(report).check == "login"
    assert "418: no ?[2J ? [secret] [secret]" in failed(report).said


def test_a_credential_that_no_header_can_carry_is_named_without_it(site: Site) -> None:
    report = examined(site.address, password="pass€word")
    assert failed(report).check == "login"
    assert "has a character that a login by HTTP cannot carry" in failed(report).said
    assert "€" not in str(report)


@pytest.mark.parametrize("clusters", [b"[]", b'{"a": 1}', b'{"a": {}}', b"null", b"{"])
def test_clusters_of_another_shape_are_a_finding(site: Site, clusters: bytes) -> None:
    with servers.pages(Recorded((200, {}, clusters)).page) as port:
        report = examined(f"http://127.0.0.1:{port}", proxy_address=site.address.partition("//")[2])
    assert failed(report).check == "login"
    assert "the list of your clusters was answered with HTTP status 200" in failed(report).said


def test_an_http_proxy_is_the_one_whose_name_and_port_count() -> None:
    asked: list[str] = []

    def page(path: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        asked.append(path)
        return 200, {}, b'{"version": "1"}'

    key = "gateway.http-client.proxy"
    with servers.pages(page) as port, dask.config.set({key: f"http://me:hidden@127.0.0.1:{port}"}):
        report = examined("http://gateway.invalid", proxy_address="127.0.0.1:1")
    said = {finding.check: finding.said for finding in report.findings}
    assert said["connection"] == f"the HTTP proxy at 127.0.0.1 port {port} accepts connections"
    assert said["gateway"] == "dask-gateway 1 answers at http://gateway.invalid"
    assert asked[0] == "http://gateway.invalid/api/version"
    assert "hidden" not in str(report)
