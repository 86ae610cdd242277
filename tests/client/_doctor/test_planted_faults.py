"""Each fault that a site may have is found by its name, and what builds on it is not tried."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from dask_gateway.auth import BasicAuth

from htcdaskgateway import HTCGateway
from htcdaskgateway._doctor.report import Finding, Report
from tests.client._doctor import servers
from tests.client._doctor.conftest import OFFER
from tests.client.gateway_site import IMAGE, PASSWORD, Site, running_site

AFTER_LOGIN = ["extension", "operator", "options", "cluster", "pools", "scheduler", "worker", "versions"]
ANSWERS = ["gateway", "login", *AFTER_LOGIN]


def examined(address: str, password: str = PASSWORD, user: str = "ada", **settings: Any) -> Report:
    """The report of a gateway at this address."""
    probe = settings.pop("probe", {})
    with HTCGateway(address, auth=BasicAuth(user, password), **settings) as gateway:
        report: Report = gateway.doctor(**probe)
    assert not password or password not in str(report)
    return report


def failed(report: Report) -> Finding:
    """The one check that fails."""
    [finding] = [finding for finding in report.findings if finding.state == "fails"]
    assert finding.remedy
    assert not report.good
    return finding


def not_tried(report: Report, because: str) -> list[str]:
    """The checks that were not tried because this one fails."""
    return [
        f.check for f in report.findings if f.state == "not tried" and f.said == f"because {because} fails"
    ]


def test_an_unknown_name() -> None:
    report = examined("http://gateway.invalid", proxy_address="127.0.0.1:1")
    by_check = {finding.check: finding for finding in report.findings}
    assert by_check["name"].state == by_check["proxy"].state == "fails"
    assert "the name gateway.invalid of the gateway is not known here" in by_check["name"].said
    assert not_tried(report, "name") == ["connection", "certificate", *ANSWERS]


def test_a_port_where_nobody_listens(site: Site) -> None:
    with servers.closed_port() as port:
        report = examined(f"http://127.0.0.1:{port}", proxy_address=site.address.partition("//")[2])
    assert failed(report).check == "connection"
    assert f"127.0.0.1 refuses connections to port {port}" in failed(report).said
    assert not_tried(report, "connection") == ["certificate", *ANSWERS]


def test_a_server_without_tls(site: Site) -> None:
    report = examined(site.address.replace("http://", "https://"))
    assert failed(report).check == "certificate"
    assert "does not speak TLS" in failed(report).said
    assert "if your site's address is http://, say so" in failed(report).remedy
    assert not_tried(report, "certificate") == ANSWERS


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def nothing(path: str, headers: Any) -> tuple[int, dict[str, str], bytes]:
    return 404, {}, b""


def test_a_certificate_of_an_unknown_authority(site: Site, authority: trustme.CA) -> None:
    with servers.pages(nothing, servers.certified(authority.issue_cert("localhost"))) as port:
        report = examined(f"https://localhost:{port}", proxy_address=site.address.partition("//")[2])
    assert failed(report).check == "certificate"
    assert "the certificate of localhost is from nobody whom this Python trusts" in failed(report).said
    assert "SSL_CERT_FILE" in failed(report).remedy


def test_a_certificate_for_another_host(
    site: Site, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with servers.pages(nothing, servers.certified(authority.issue_cert("other.example"))) as port:
        report = examined(f"https://localhost:{port}", proxy_address=site.address.partition("//")[2])
    assert failed(report).check == "certificate"
    assert "the certificate is not for localhost" in failed(report).said


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            (200, {"Content-Type": "text/html"}, b"<h1>Welcome</h1>"),
            "something that is no JSON (HTTP status 200)",
        ),
        ((200, {}, b'{"server": "nginx"}'), "JSON without a version"),
        ((200, {}, b"[" * 100_000), "something that is no JSON"),
        ((200, {}, b"\xff\xfe\x00garbage\x1b[2J"), "something that is no JSON"),
        ((404, {}, b"404 page not found"), "something that is no JSON (HTTP status 404)"),
        ((503, {}, b""), "does not reach it (HTTP status 503)"),
    ],
    ids=["a page", "other JSON", "JSON too deep", "garbage", "a proxy alone", "nobody behind it"],
)
def test_something_else_than_a_gateway(
    site: Site, answer: tuple[int, dict[str, str], bytes], said: str
) -> None:
    with servers.pages(lambda path, headers: answer) as port:
        report = examined(f"http://127.0.0.1:{port}", proxy_address=site.address.partition("//")[2])
    assert failed(report).check == "gateway"
    assert said in failed(report).said
    assert not_tried(report, "gateway") == ["login", *AFTER_LOGIN]


def test_a_server_that_speaks_no_http(site: Site) -> None:
    with servers.saying(b"220 mail.example ESMTP\r\n") as port:
        report = examined(f"http://127.0.0.1:{port}", proxy_address=site.address.partition("//")[2])
    assert failed(report).check == "gateway"
    assert "is no dask-gateway" in failed(report).said


def test_a_wrong_password(site: Site) -> None:
    report = examined(site.address, password="wrong-password")
    assert failed(report).check == "login"
    assert "does not accept the password or token of user 'ada'" in failed(report).said
    assert not_tried(report, "login") == AFTER_LOGIN


def test_a_gateway_without_the_extension(plain_site: Site) -> None:
    report = examined(plain_site.address)
    assert failed(report).check == "extension"
    assert "no HTCDask extension" in failed(report).said
    remedy = failed(report).remedy
    assert "`--values gateway-values.yaml` from that chart" in remedy
    assert "in an umbrella chart, such as daskhub, nested under dask-gateway;" in remedy
    assert "a gateway.extraConfig of the site's own must be a map" in remedy
    assert not_tried(report, "extension") == AFTER_LOGIN[1:]


def test_an_operator_that_has_stopped(site: Site) -> None:
    """The probe's worker is not waited for, and the probe cluster ends."""
    started = time.monotonic()
    with site.without_operator():
        report = examined(site.address, user="stopped", probe={"probe": True, "timeout": 120})
    assert failed(report).check == "operator"
    assert "none is at work at the moment" in failed(report).said
    assert "the site's admin has to look at the operator's Deployment" in failed(report).remedy
    assert not_tried(report, "operator") == ["worker"]
    assert time.monotonic() - started < 60
    with site.gateway("stopped") as gateway:
        assert gateway.list_clusters() == []


def test_an_operator_that_has_never_started(site: Site) -> None:
    with site.saying(""):
        report = examined(site.address)
    assert failed(report).check == "operator"
    assert "has not started yet" in failed(report).said


def test_an_operator_of_whom_nothing_is_known_is_no_fault(site: Site) -> None:
    """Words that are not understood, and an extension that does not say."""
    with site.saying("no JSON"):
        report = examined(site.address)
    [finding] = [finding for finding in report.findings if finding.check == "operator"]
    assert (finding.state, report.good) == ("not tried", True)
    assert "its words are not understood" in finding.said


def test_a_proxy_s_port_where_nobody_listens(site: Site) -> None:
    with servers.closed_port() as port:
        report = examined(site.address, proxy_address=f"127.0.0.1:{port}")
    assert failed(report).check == "proxy"
    assert f"refuses connections to port {port}" in failed(report).said
    assert not_tried(report, "proxy") == ["scheduler", "worker", "versions"]


def test_a_silent_proxy(site: Site) -> None:
    with servers.silent() as port:
        started = time.monotonic()
        report = examined(site.address, proxy_address=f"127.0.0.1:{port}")
    assert failed(report).check == "proxy"
    assert "accepts connections and says nothing" in failed(report).said
    assert time.monotonic() - started < 15


def test_a_proxy_that_is_another_server(site: Site) -> None:
    with servers.saying(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        report = examined(site.address, proxy_address=f"127.0.0.1:{port}")
    assert failed(report).check == "proxy"
    assert "it does not speak TLS" in failed(report).said


def test_a_proxy_that_ends_tls_itself(site: Site, authority: trustme.CA) -> None:
    """Such as the port of the site's https://: it is found out by the probe cluster's own certificate."""
    with servers.pages(nothing, servers.certified(authority.issue_cert("localhost"))) as port:
        report = examined(
            site.address, proxy_address=f"127.0.0.1:{port}", probe={"probe": True, "timeout": 60}
        )
    assert failed(report).check == "proxy"
    assert "answers with another certificate than cluster gateway." in failed(report).said
    assert report.findings[-1].check == "shutdown"
    with site.gateway() as gateway:
        assert gateway.list_clusters() == []


def test_a_worker_that_cannot_start(site: Site) -> None:
    """The operator's word ends the wait; the probe cluster ends too."""
    found: list[Report] = []
    probe = {"probe": True, "timeout": 60, "container_image": IMAGE}
    thread = threading.Thread(
        target=lambda: found.append(examined(site.address, user="workerless-1", probe=probe))
    )
    thread.start()
    with site.gateway("workerless-1") as gateway:
        cluster = wait_for_cluster(gateway, site)
        [pool] = site.pools_of(cluster)
        assert pool["spec"]["template"] == {"containerImage": IMAGE}
        stalled = {
            "type": "Stalled",
            "status": "True",
            "reason": "ImageNotAllowed",
            "message": "the site allows no such image",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        site.tell(cluster, desiredReplicas=1, conditions=[stalled])
        thread.join(60)
        finding = failed(found[0])
        assert finding.check == "worker"
        assert "no worker can come" in finding.said
        assert "Stalled is True: ImageNotAllowed: the site allows no such image" in finding.said
        assert gateway.list_clusters() == []


def wait_for_cluster(gateway: HTCGateway, site: Site) -> str:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if (clusters := gateway.list_clusters()) and site.pools_of(clusters[0].name):
            return str(clusters[0].name)
        time.sleep(0.05)
    pytest.fail("no probe cluster was made")


def test_a_worker_that_does_not_come_in_time(site: Site) -> None:
    report = examined(site.address, user="workerless-2", probe={"probe": True, "timeout": 6})
    assert failed(report).check == "worker"
    assert "no worker came in 6 s: pool default: 0 of 0 workers connected" in failed(report).said
    assert report.findings[-1] == Finding("shutdown", "ok", report.findings[-1].said)
    with site.gateway("workerless-2") as gateway:
        assert gateway.list_clusters() == []


@pytest.fixture(scope="module")
def older_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway whose schedulers and workers have another dask and another distributed."""
    packages = tmp_path_factory.mktemp("packages")
    for name, version in {"dask": "2024.1.0", "lz4": "4.3.3"}.items():
        about = packages / f"{name}-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    with (
        running_site(packages / "gateway.log", extension=True, packages=packages) as site,
        site.saying(OFFER),
    ):
        yield site


def test_versions_that_differ(older_site: Site) -> None:
    report = examined(older_site.address, probe={"probe": True, "timeout": 60})
    finding = failed(report)
    assert finding.check == "versions"
    assert "dask is 20" in finding.said
    assert "2024.1.0 on scheduler, 2024.1.0 on worker" in finding.said
    assert "lz4" not in finding.said  # on one side alone: that is no fault
    assert "distributed is" not in finding.said


def offering_options(site: Site, *fields: str, **extension: object) -> Report:
    """Of a gateway that offers these cluster options, and whose extension says this of itself."""
    answers = {
        "/api/version": {"version": "1"},
        "/api/v1/htcondor": {"version": 1, **extension},
        "/api/v1/options": {"cluster_options": [{"field": field} for field in fields]},
    }

    def page(path: str, headers: Any) -> tuple[int, dict[str, str], bytes]:
        return 200, {}, json.dumps(answers.get(path, {})).encode()

    with servers.pages(page) as port:
        return examined(f"http://127.0.0.1:{port}", proxy_address=site.address.partition("//")[2])


@pytest.mark.parametrize(
    ("fields", "said"), [((), "is hidden by"), (("worker_backend", "worker_backend"), "is also an option of")]
)
def test_what_a_site_s_own_code_did_to_our_option(site: Site, fields: tuple[str, ...], said: str) -> None:
    report = offering_options(site, *fields)
    assert failed(report).check == "options"
    assert said in failed(report).said


def test_a_site_s_code_that_was_replaced_is_hinted_at_where_our_option_is_alone(site: Site) -> None:
    def options(*fields: str) -> str:
        report = offering_options(site, *fields)
        [finding] = [finding for finding in report.findings if finding.check == "options"]
        assert finding.state == "ok"
        return finding.said

    assert options("worker_backend") == (
        "worker_backend alone; if your site used to offer others, its extraConfig was one text, which has "
        "been replaced: it must be a map"
    )
    assert options("image", "worker_backend") == "worker_backend, beside the site's own: image"


@pytest.mark.parametrize(
    ("later", "hint"),
    [
        (["zzz", "zzz-late"], "; zzz, zzz-late of its extraConfig run after zz-htcdask, which does not find"),
        ([], ""),
        ("forged", ""),
    ],
)
def test_entries_that_run_after_ours_are_named(site: Site, later: object, hint: str) -> None:
    report = offering_options(site, "worker_backend", laterEntries=later, defaultWorkerBackend="htcondor")
    [finding] = [finding for finding in report.findings if finding.check == "extension"]
    assert finding.state == "ok"
    said, _, rest = finding.said.partition(";")
    assert (said, ("run after" in rest) == bool(hint)) == ("version 1", True)
    assert hint in finding.said


def test_a_site_without_a_fault(site: Site) -> None:
    """The site's own options are listed, and nothing is left of the probe."""
    report = examined(site.address, user="ncsa-doctor", probe={"probe": True, "timeout": 60})
    assert report.good, report
    assert [finding.state for finding in report.findings] == ["ok"] * 18
    assert "worker_backend, beside the site's own: image" in str(report)
    assert "the same on notebook, scheduler and 1 worker" in str(report)
    with site.gateway("ncsa-doctor") as gateway:
        assert gateway.list_clusters() == []
