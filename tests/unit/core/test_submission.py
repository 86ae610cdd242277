"""What is submitted: quoting that nothing escapes, templates that merge, names that are never used twice."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htcdask_api import Template, names
from htcdask_operator.core import naming, quoting, submission, template
from htcdask_operator.core.model import ClusterFacts, PortRange, Profile
from tests.builders import IMAGE, NOW, make_cluster, make_policy, make_pool, make_template

POOL_FACTS = make_pool()
CLUSTER_FACTS = make_cluster()
WORKER = make_template()


def workers(worker: Template | None = None, username: str = "alice", **policy: Any) -> dict[str, str]:
    cluster = make_cluster(username=username)
    return dict(
        submission.workers(
            POOL_FACTS, cluster, worker or make_template(), "mark", "/spool/1", make_policy(**policy), NOW
        )
    )


# --- Quoting.


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_no_text_brings_a_line_or_a_macro_of_its_own(value: str) -> None:
    try:
        quoted = quoting.string(value)
    except quoting.UnquotableError:
        assert not value.isprintable()
        return
    assert quoted.isprintable()
    assert "$" not in quoted.replace("$(DOLLAR)", "")
    inside = quoted[1:-1].replace("$(DOLLAR)", "$")
    assert re.sub(r"\\(.)", r"\1", inside) == value
    assert re.fullmatch(r'([^"\\]|\\["\\])*', inside)


@given(st.text(alphabet="()[]{}\"'\\/*ab&| ;=$", max_size=20))
@settings(max_examples=300, deadline=None)
def test_no_expression_leaves_its_brackets(value: str) -> None:
    """A little parser of our own: what passes ends where it should."""
    if quoting.complaint(value) is not None:
        return
    depth, quote, skip = 0, "", False
    for character in f"({value})":
        if skip:
            skip = False
        elif quote:
            skip = character == "\\"
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
            assert depth >= 0
    assert depth == 0 and not quote


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("HasAVX2 && Memory > 4096", None),
        ('regexp("^node(1|2)", Machine) && x == "a)b\\"("', None),
        ("{1, 2}[0] == 1", None),
        ("1) || (true", "it has a ')' that closes nothing"),
        ("1 ]; [ b = 2", "it has a ']' that closes nothing"),
        ("(a", "it has a '(' that is not closed"),
        ("(a]", "it has a ']' that closes nothing"),
        ('Machine == "a', 'it has a " that is not closed'),
        ("true // rest", "it has a comment"),
        ("true /* rest", "it has a comment"),
        ("a\nqueue 100", "it has control characters"),
        ("  ", "it is empty"),
    ],
)
def test_which_texts_are_whole_expressions(text: str, wrong: str | None) -> None:
    assert quoting.complaint(text) == wrong


@pytest.mark.parametrize(
    ("name", "account"),
    [("alice", "alice"), ("a.b", "a_b"), ("x y\n", "x_y_"), ("a@b", "a_b"), ("", "nobody")],
)
def test_a_user_is_one_part_of_an_accounting_group(name: str, account: str) -> None:
    assert quoting.account(name) == account


# --- Descriptions.


def test_the_workers_description() -> None:
    assert workers() == {
        "universe": "container",
        "container_image": IMAGE,
        "transfer_container": "false",
        "executable": "/bin/bash",
        "transfer_executable": "false",
        "arguments": '"-s $(wname)"',
        "input": "/spool/1/bundle.sh",
        "stream_input": "true",
        "output": "/spool/1/out.$(wname)",
        "stream_output": "true",
        "error": "/spool/1/out.$(wname)",
        "stream_error": "true",
        "should_transfer_files": "no",
        "My.Iwd": '"/var/tmp"',
        "request_cpus": "1",
        "request_memory": "2048",
        "request_disk": "4194304",
        "My.Requirements": (
            "TARGET.HasContainer && TARGET.HasSandboxImage && TARGET.Cpus >= RequestCpus"
            " && TARGET.Memory >= RequestMemory && TARGET.Disk >= RequestDisk"
            " && (NumShadowStarts =?= undefined || NumShadowStarts < 1)"
        ),
        "job_max_vacate_time": "20",
        "leave_in_queue": "JobStatus == 4 && time() - EnteredCurrentStatus < 300",
        "periodic_remove": "JobStatus =!= 2 && time() > HTCDaskLease",
        "batch_name": "htcdask gateway/default-pool-uid",
        "My.HTCDaskOperator": '"htcdask"',
        "My.HTCDaskPoolUID": '"pool-uid"',
        "My.HTCDaskPool": '"gateway/default-pool-uid"',
        "My.HTCDaskClusterUID": '"cluster-uid"',
        "My.HTCDaskUser": '"alice"',
        "My.HTCDaskWorker": '"$(wname)"',
        "My.HTCDaskTemplate": '"mark"',
        "My.HTCDaskRole": '"worker"',
        "My.HTCDaskLease": "1800003600",
    }


def test_the_anchor_never_runs_and_says_whose_it_is() -> None:
    anchor = submission.anchor(POOL_FACTS, CLUSTER_FACTS, "mark", make_policy(), NOW)
    assert anchor["My.Requirements"] == "false"
    mine = {key: value for key, value in workers().items() if key.startswith("My.HTCDask")}
    assert {key: value for key, value in anchor.items() if key.startswith("My.HTCDask")} == mine | {
        f"My.{names.AD_ROLE}": '"anchor"',
        f"My.{names.AD_WORKER}": '""',
    }


@pytest.mark.parametrize(
    ("image", "clause"),
    [
        ("/cvmfs/x/image.sif", "TARGET.HasSIF"),
        ("/cvmfs/x/image:tag", "TARGET.HasSandboxImage"),
        ("docker://org/image:tag", "TARGET.HasDockerURL"),
    ],
)
def test_what_an_image_asks_of_the_execute_node(image: str, clause: str) -> None:
    assert workers(make_template(container_image=image))["My.Requirements"].split(" && ")[1] == clause


def test_profile_and_user_each_add_a_clause_in_brackets() -> None:
    site = Profile(
        "gpu", Template(), "HasGPU || Old", "Gpus", "group_gpu", {"isDaskJob": True, "Site": 'a"$'}
    )
    wish = make_template(
        profile="gpu", gpus=1, requirements="a || b", rank="KFlops", max_runtime_seconds=3600
    )
    found = workers(wish, "a.b", profiles={"gpu": site}, accounting_group="group_dask")
    assert found["My.Requirements"].endswith("< 1) && (HasGPU || Old) && (a || b)")
    assert found["rank"] == "(Gpus) + (KFlops)"
    assert (found["accounting_group"], found["accounting_group_user"]) == ("group_gpu", "a_b")
    assert (found["My.isDaskJob"], found["My.Site"]) == ("true", '"a\\"$(DOLLAR)"')
    assert (found["request_gpus"], found["allowed_execute_duration"]) == ("1", "3600")


def test_a_profile_does_not_change_whose_a_job_is() -> None:
    site = Profile("odd", Template(), attributes={"HTCDaskPoolUID": "mine", "Requirements": "x"})
    found = workers(make_template(profile="odd"), profiles={"odd": site})
    assert found["My.HTCDaskPoolUID"] == '"pool-uid"'
    assert found["My.Requirements"] == workers()["My.Requirements"]


def test_where_streaming_does_not_work_the_bundle_is_transferred() -> None:
    found = workers(delivery="transfer")
    assert found["transfer_input_files"] == "/spool/1/bundle.sh"
    assert "input" not in found and "stream_input" not in found


def test_the_bundle() -> None:
    worker = make_template(
        memory="10Gi", threads=2, max_runtime_seconds=28800, environment={"OMP_NUM_THREADS": "4"}
    )
    policy = make_policy(worker_ports=PortRange(10000, 10100))
    found = submission.bundle(CLUSTER_FACTS, worker, policy)
    assert (found.scheduler, found.sni) == ("tls://gateway.example:443", "daskgateway-gateway.abc")
    assert (found.threads, found.memory_limit, found.lifetime) == (2, 9 * 2**30, 28200)
    assert (found.worker_ports, found.nanny_ports) == ("10000:10100", None)
    assert dict(found.environment)["OMP_NUM_THREADS"] == "4"
    assert dict(found.environment)["MKL_NUM_THREADS"] == "1"
    assert "OMP_NUM_THREADS" not in repr(found)


@pytest.mark.parametrize(
    ("vacate", "retire", "close"),
    [(20, 15, 2.5), (1, 0.75, 0.125), (600, 570, 15), (31_536_000, 31_535_970, 15)],
)
def test_a_worker_hands_over_and_closes_before_htcondor_kills_it(
    vacate: float, retire: float, close: float
) -> None:
    found = submission.bundle(CLUSTER_FACTS, WORKER, make_policy(vacate_seconds=vacate))
    assert (found.retire_seconds, found.close_seconds) == (retire, close)
    # A nanny that waits for its worker in vain takes 1.8 times what it is given.
    assert retire + 1.8 * close < math.ceil(vacate)


def test_the_fingerprint_moves_with_what_a_worker_is_made_from_and_with_nothing_else() -> None:
    def mark(worker: Template = WORKER, cluster: ClusterFacts = CLUSTER_FACTS, **policy: Any) -> str:
        return submission.fingerprint(POOL_FACTS, cluster, worker, make_policy(**policy))

    same = mark(cluster=replace(CLUSTER_FACTS, wanted=7, phase="Odd"), lease_seconds=1, breaker_failures=1)
    assert same == mark()
    others = [
        mark(make_template(cores=2)),
        mark(make_template(environment={"A": "b"})),
        mark(scheduler_address="other:1"),
        mark(vacate_seconds=7),
    ]
    assert len({mark(), *others}) == 5


# --- Templates.


def test_the_nearest_template_wins() -> None:
    policy = make_policy(
        default_template=Template(cores=8, memory="8Gi", disk="9Gi", container_image="/site", threads=2),
        profiles={
            "big": Profile("big", Template(memory="64Gi", environment={"A": "profile", "B": "profile"}))
        },
    )
    pool = make_pool(template=Template(profile="big", threads=1, environment={"A": "pool"}))
    cluster = make_cluster(config={"worker_cores": 2.0, "worker_memory": 3 * 2**30, "image": "org/image:1"})
    found = template.resolve(pool, cluster, policy)
    assert (found.threads, found.environment) == (1, {"A": "pool", "B": "profile"})
    assert (found.memory, found.cores, found.disk, found.container_image) == ("64Gi", 2, "9Gi", "/site")


@pytest.mark.parametrize(
    ("config", "chosen"),
    [
        ({"worker_cores": 1.0, "worker_memory": 2 * 2**30}, {}),  # dask-gateway's own: nobody chose
        ({"worker_cores": 2.5, "worker_memory": 4e9}, {"cores": 3, "memory": "4000000000"}),
        ({"worker_cores": "many", "worker_memory": float("inf")}, {}),
        ({"worker_cores": 0, "worker_memory": -1}, {}),
        ({"worker_cores": True, "worker_memory": None}, {}),
        ({"image": "org/image"}, {"container_image": "/cvmfs/registry.hub.docker.com/org/image:latest"}),
        ({"image": "ghcr.io/org/image:1"}, {"container_image": "/cvmfs/ghcr.io/org/image:1"}),
        ({"image": "../etc"}, {}),
    ],
)
def test_what_the_cluster_s_options_say_about_workers(
    config: dict[str, object], chosen: dict[str, Any]
) -> None:
    assert template.of_cluster(config, "/cvmfs/{registry}/{name}") == Template(**chosen)


def test_a_whole_that_breaks_a_rule_that_its_parts_keep_is_an_invalid_pool() -> None:
    long = {f"A{number}": "x" * 16000 for number in range(2)}
    policy = make_policy(default_template=Template(environment={"B": "y" * 16000}))
    with pytest.raises(
        ValueError, match=r"^spec\.template\.environment: must not exceed 32768 characters"
    ) as broken:
        template.resolve(make_pool(template=make_template(environment=long)), None, policy)
    assert "xxx" not in str(broken.value)


# --- Names.


def test_names_are_short_never_numbers_and_never_taken() -> None:
    first = naming.new_names("uid", 3, (), NOW)
    again = naming.new_names("uid", 3, first, NOW)
    assert len({*first, *again}) == 6
    for name in (*first, *again, *naming.new_names("uid", 2, (), 0.0)):
        assert re.fullmatch(r"[a-z][0-9a-z]{11}", name)


def test_names_differ_from_one_millisecond_to_the_next() -> None:
    times = [NOW + step / 1000 for step in range(50)]
    assert len({name for at in times for name in naming.new_names("uid", 2, (), at)}) == 100


def test_a_very_large_batch_is_cut() -> None:
    assert len(set(naming.new_names("uid", 100_000, (), NOW))) == naming.LARGEST_BATCH
