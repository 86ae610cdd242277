"""`python -m htcdaskgateway doctor`, as a process: its status, its JSON, and its end by a signal."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import trustme

import htcdaskgateway
from tests.client._doctor import servers
from tests.client._doctor.test_http import Recorded
from tests.client.gateway_site import IMAGE, PASSWORD, Site


def environment(site: Site, user: str) -> dict[str, str]:
    return {
        **os.environ,
        "DASK_GATEWAY__ADDRESS": site.address,
        "DASK_GATEWAY__AUTH__KWARGS__USERNAME": user,
        "DASK_GATEWAY__AUTH__KWARGS__PASSWORD": PASSWORD,
    }


def doctor(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "htcdaskgateway", "doctor", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)


def test_a_good_site_is_status_0_and_one_line_a_check(site: Site) -> None:
    ran = doctor(env=environment(site, "command"))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    lines = ran.stdout.splitlines()
    assert len(lines) == 17
    assert all(line.startswith(("ok ", "not tried ")) for line in lines)
    assert PASSWORD not in ran.stdout + ran.stderr


def test_json_has_the_same_and_a_fault_is_status_1(plain_site: Site) -> None:
    ran = doctor("--json", env=environment(plain_site, "command"))
    assert ran.returncode == 1
    said: dict[str, Any] = json.loads(ran.stdout)
    assert said["good"] is False
    [fault] = [check for check in said["checks"] if check["state"] == "fails"]
    assert fault["check"] == "extension"
    assert fault.keys() == {"check", "state", "said", "remedy"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--colour"],
        ["--timeout", "soon"],
        ["--timeout=-1"],
        ["--timeout", "inf"],
        ["--profile", "gpu"],
        ["--prob"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2(arguments: list[str]) -> None:
    ran = doctor(*arguments)
    assert ran.returncode == 2
    assert "error: " in ran.stderr
    assert ran.stdout == ""


def test_help_tells_the_exit_status() -> None:
    ran = doctor("--help")
    assert ran.returncode == 0
    for words in ("--probe", "--timeout TIME", "--json", "Exit status: 0", "DASK_GATEWAY__ADDRESS"):
        assert words in ran.stdout


def test_its_version() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "htcdaskgateway", "--version"], capture_output=True, text=True
    )
    assert (ran.returncode, ran.stdout) == (0, f"htcdask {htcdaskgateway.__version__}\n")


def test_settings_that_cannot_be_read_end_no_other_check(site: Site) -> None:
    env = environment(site, "command")
    del env["DASK_GATEWAY__ADDRESS"]
    ran = doctor(env=env)
    assert ran.returncode == 1
    lines = ran.stdout.splitlines()
    assert lines[0].startswith("ok         installation")
    assert lines[1].startswith("fails      settings      ")
    assert "No dask-gateway address" in lines[1]
    assert all(line.endswith("because settings fails") for line in lines[2:])


def test_another_address_than_the_configuration_s_is_examined_without_its_credential(site: Site) -> None:
    """As far as it goes without one; nothing that would be a credential is sent there."""
    env = {**environment(site, "command"), "DASK_GATEWAY__ADDRESS": "http://configured.invalid"}
    with servers.closed_port() as port:
        lines = doctor("--address", f"http://127.0.0.1:{port}", env=env).stdout.splitlines()
    said = {line[11:23].strip(): line for line in lines}
    assert said["settings"].startswith("ok ")
    assert "is not the gateway of the configuration (http://configured.invalid)" in said["credential"]
    assert said["name"].startswith("ok ")
    assert f"127.0.0.1 refuses connections to port {port}" in said["connection"]
    assert said["login"].endswith("because connection fails")

    gateway = Recorded((200, {}, b"{}"))
    with servers.pages(gateway.page) as port:
        ran = doctor("--address", f"http://127.0.0.1:{port}", env=env)
    said = {line[11:23].strip(): line for line in ran.stdout.splitlines()}
    assert ran.returncode == 1
    assert said["gateway"].startswith("ok ")
    assert said["login"].startswith("not tried") and said["login"].endswith("because credential fails")
    assert said["options"].endswith("because credential fails")
    assert gateway.credentials == []
    assert PASSWORD not in ran.stdout + ran.stderr


def test_the_proxy_may_be_a_port_of_the_gateways_host(site: Site) -> None:
    with servers.closed_port() as port:
        ran = doctor("--proxy-address", str(port), env=environment(site, "command"))
    said = {line[11:23].strip(): line for line in ran.stdout.splitlines()}
    assert said["proxy"].startswith("fails")
    assert f"127.0.0.1 refuses connections to port {port}" in said["proxy"]


def test_a_password_in_the_address_is_said_and_not_shown_nor_sent(site: Site) -> None:
    gateway = Recorded((200, {}, b"{}"))
    for also in ({}, environment(site, "command")):  # with a credential of the configuration, and without
        env = {**{name: its for name, its in os.environ.items() if not name.startswith("DASK_")}, **also}
        with servers.pages(gateway.page) as port:
            ran = doctor("--address", f"http://alice:sesam-oeffne-dich@127.0.0.1:{port}", env=env)
        said = {line[11:23].strip(): line for line in ran.stdout.splitlines()}
        assert "a user name or password stands in the gateway's address" in said["credential"]
        assert (
            f"HTCGateway('http://127.0.0.1:{port}', auth=BasicAuth(username, password))" in said["credential"]
        )
        assert said["gateway"].startswith("ok ")
        assert said["login"].endswith("because credential fails")
        assert "sesam-oeffne-dich" not in ran.stdout + ran.stderr
    assert gateway.credentials == []


def test_a_certificate_of_the_site_s_own_authority_is_trusted_when_it_is_named(
    site: Site, tmp_path: Path
) -> None:
    """https:// as far as the server behind it, which is no gateway; and where it is not named, it is not."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = servers.certified(authority.issue_cert("localhost"))
    env = environment(site, "command")
    with servers.pages(lambda path, headers: (200, {}, b'{"version": "1"}'), context) as port:
        env["DASK_GATEWAY__ADDRESS"] = f"https://localhost:{port}"
        trusted = doctor(env={**env, "SSL_CERT_FILE": str(tmp_path / "ca.pem")})
        assert "ok         certificate   the certificate of localhost is trusted here" in trusted.stdout
        assert "ok         gateway       dask-gateway 1 answers" in trusted.stdout
        assert "fails      certificate" in doctor(env=env).stdout


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_probe_is_shut_down(site: Site, how: signal.Signals) -> None:
    """Also where the signal comes again and again, as of somebody who presses Ctrl-C twice."""
    user = f"workerless-{how.name}"
    worker = ["--container-image", IMAGE, "--profile", "gpu"]
    command = [sys.executable, "-m", "htcdaskgateway", "doctor", "--probe", *worker]
    with subprocess.Popen(command, env=environment(site, user), stdout=subprocess.PIPE, text=True) as ran:
        assert ran.stdout is not None
        for line in ran.stdout:
            if " scheduler " in line:  # the worker is waited for now
                break
        with site.gateway(user) as gateway:
            [cluster] = gateway.list_clusters()
            [pool] = site.pools_of(cluster.name)
            assert pool["spec"]["template"] == {"containerImage": IMAGE, "profile": "gpu"}
            for _ in range(2):
                ran.send_signal(how)
                time.sleep(0.01)
            rest = ran.stdout.read()
            assert ran.wait(60) == 130
            assert f"shutdown      the probe cluster {cluster.name} was shut down" in rest
            assert gateway.list_clusters() == []


def test_a_probe_interrupted_while_its_cluster_is_made_is_shut_down(site: Site) -> None:
    user = "workerless-early"
    command = [sys.executable, "-m", "htcdaskgateway", "doctor", "--probe"]
    with subprocess.Popen(command, env=environment(site, user), stdout=subprocess.PIPE, text=True) as ran:
        assert ran.stdout is not None
        for line in ran.stdout:
            if " options " in line:  # its cluster is asked for now
                break
        for _ in range(2):
            ran.send_signal(signal.SIGINT)
            time.sleep(0.01)
        rest = ran.stdout.read()
        assert ran.wait(60) == 130
    assert "shutdown" in rest
    with site.gateway(user) as gateway:
        assert gateway.list_clusters() == []
