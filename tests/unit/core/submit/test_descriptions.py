"""What is submitted for workers and anchors, and what each worker's files say."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from htcdask_api import Template, names
from htcdask_operator.core.model import ClusterFacts
from htcdask_operator.core.policy import ClassAdExpression, PortRange, Profile
from htcdask_operator.core.submit import descriptions, quoting, reserved_attributes
from tests.builders import IMAGE, NOW, make_cluster, make_policy, make_pool, make_template

POOL_FACTS = make_pool()
CLUSTER_FACTS = make_cluster()
WORKER = make_template()


def workers(worker: Template | None = None, username: str = "alice", **policy: Any) -> dict[str, str]:
    cluster = make_cluster(username=username)
    return dict(
        descriptions.workers(
            POOL_FACTS,
            cluster,
            worker or make_template(),
            "hash",
            "/spool/1",
            make_policy(**policy),
            NOW,
            "7.0",
        )
    )


def test_the_workers_description() -> None:
    assert workers() == {
        "My.HTCDaskAnchor": '"7.0"',
        "universe": "container",
        "container_image": IMAGE,
        "transfer_container": "false",
        "executable": "/bin/bash",
        "transfer_executable": "false",
        "arguments": '"-p -s $(wname)"',
        "input": "/spool/1/bundle.sh",
        "stream_input": "true",
        "My.In": 'ifThenElse(Iwd == "/", "/dev/null", "/spool/1/bundle.sh")',
        "output": "/spool/1/$(wout)",
        "error": "/spool/1/$(wout)",
        "should_transfer_files": "yes",
        "when_to_transfer_output": "ON_EXIT",
        "transfer_output_files": '""',
        "max_transfer_output_mb": "1",
        "My.Iwd": '"/"',
        "request_cpus": "1",
        "request_memory": "2048",
        "request_disk": "4194304",
        "My.Requirements": (
            "TARGET.HasContainer && TARGET.HasSandboxImage && TARGET.Cpus >= RequestCpus"
            " && TARGET.Memory >= RequestMemory && TARGET.Disk >= RequestDisk"
            " && (NumShadowStarts =?= undefined || NumShadowStarts < 1)"
        ),
        "My.WantDelayedUpdates": "false",
        "My.WantIOProxy": "false",
        "My.WantRemoteUpdates": "false",
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
        "My.HTCDaskTemplate": '"hash"',
        "My.HTCDaskRole": '"worker"',
        "My.HTCDaskLease": "1800003600",
    }


def test_the_anchor_is_a_worker_to_a_rule_and_never_runs() -> None:
    site = Profile("gpu", Template(), "HasGPU", "Gpus", "group_gpu", {"ProjectName": "atlas"})
    policy = make_policy(profiles={"gpu": site})
    wish = make_template(
        profile="gpu", gpus=1, requirements="a", rank="b", max_runtime_seconds=3600, memory="9Gi"
    )
    worker = workers(wish, profiles={"gpu": site})
    anchor = dict(descriptions.anchor(POOL_FACTS, CLUSTER_FACTS, wish, "hash", policy, NOW))
    assert anchor.pop("My.SpooledOutputFiles") == '""', "an anchor shows none of its files"
    assert anchor.pop("My.Requirements") == "false && " + worker["My.Requirements"]
    assert {key: value for key, value in anchor.items() if worker.get(key) != value} == {
        "output": "/dev/null",
        "error": "/dev/null",
        "leave_in_queue": "false",
        f"My.{names.AD_ROLE}": '"anchor"',
        f"My.{names.AD_WORKER}": '""',
    }
    assert worker.keys() - anchor.keys() == {
        "My.HTCDaskAnchor",
        "My.Requirements",
        # What concerns the files of a process, which it never has.
        *("arguments", "input", "stream_input", "My.In", "My.Iwd"),
        *("transfer_output_files", "max_transfer_output_mb"),
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


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ([[[["x"]]]], "more than 3 lists inside of one another"),
        ("x" * 8193, "longer than 8192 characters"),
        (["x"] * 5000, "longer than 8192 characters"),
        (["x\ny"], "control characters"),
        (["$$(Memory)"], "'$$'"),
        (["$ENV(", "$x)"], "the list has a '$' inside of what begins like a macro"),
        (["x\\"], "a backslash before a quote or at its end"),
        ([math.nan], "is no number"),
        ([None], "a NoneType is no string"),
        (["x", ClassAdExpression("1")], "a ClassAdExpression is no string"),
        (ClassAdExpression("1\nqueue"), "a line break"),
        (ClassAdExpression("1) || (true"), "nothing can stand there"),
        (ClassAdExpression(""), "it is empty"),
        (ClassAdExpression("Rank"), "which the pool itself sets"),
    ],
)
def test_what_cannot_be_an_attribute_s_value_is_refused_with_profile_and_attribute(
    value: object, complaint: str
) -> None:
    site = {"big": Profile("big", Template(), attributes={"Fine": [1], "Odd": value})}
    with pytest.raises(quoting.UnquotableError, match=r"^profile big, attribute Odd: ") as error:
        workers(make_template(profile="big"), profiles=site)
    assert complaint in str(error.value)


def test_what_profile_and_user_wrote_stands_in_attributes_of_its_own() -> None:
    site = Profile(
        "gpu", Template(), "HasGPU || Old", "Gpus", "group_gpu", {"isDaskJob": True, "Site": 'a"$'}
    )
    wish = make_template(
        profile="gpu", gpus=1, requirements="a || b", rank="KFlops", max_runtime_seconds=3600
    )
    found = workers(wish, "a.b", profiles={"gpu": site}, accounting_group="group_dask")
    assert found["My.Requirements"].endswith(
        "< 1) && (MY.HTCDaskProfileRequirements) && (MY.HTCDaskUserRequirements)"
    )
    assert found["My.HTCDaskProfileRequirements"] == "HasGPU || Old"
    assert found["My.HTCDaskUserRequirements"] == "a || b"
    assert found["rank"] == "(MY.HTCDaskProfileRank) + (MY.HTCDaskUserRank)"
    assert (found["My.HTCDaskProfileRank"], found["My.HTCDaskUserRank"]) == ("Gpus", "KFlops")
    assert (found["accounting_group"], found["accounting_group_user"]) == ("group_gpu", "a_b-2e7336")
    assert (found["My.isDaskJob"], found["My.Site"]) == ("true", '"a\\"$(DOLLAR)"')
    assert (found["request_gpus"], found["allowed_execute_duration"]) == ("1", "3600")


def test_what_the_operator_writes_is_reserved() -> None:
    worker = make_template(gpus=1, requirements="a", rank="b", max_runtime_seconds=3600)
    written = [key.removeprefix("My.") for key in workers(worker) if key.startswith("My.")]
    assert [name for name in written if not reserved_attributes.is_reserved(name)] == []
    assert not reserved_attributes.is_reserved("isDaskJob") and not reserved_attributes.is_reserved(
        "ProjectName"
    )


def test_where_streaming_does_not_work_the_bundle_is_transferred() -> None:
    found = workers(delivery="transfer")
    assert found["transfer_input_files"] == "/spool/1/bundle.sh"
    assert "input" not in found and "stream_input" not in found


@pytest.mark.parametrize("delivery", ["stream", "transfer"])
def test_what_a_worker_prints_is_never_streamed_to_the_access_point(delivery: str) -> None:
    found = workers(delivery=delivery)
    assert not {"stream_output", "stream_error"} & found.keys()
    assert (found["should_transfer_files"], found["max_transfer_output_mb"]) == ("yes", "1")


def test_the_bundle() -> None:
    worker = make_template(
        memory="10Gi", threads=2, max_runtime_seconds=28800, environment={"OMP_NUM_THREADS": "4"}
    )
    policy = make_policy(worker_ports=PortRange(10000, 10100))
    found = descriptions.bundle(CLUSTER_FACTS, worker, policy)
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
    found = descriptions.bundle(CLUSTER_FACTS, WORKER, make_policy(vacate_seconds=vacate))
    assert (found.retire_seconds, found.close_seconds) == (retire, close)
    # A nanny that waits for its worker in vain takes 1.8 times what it is given.
    assert retire + 1.8 * close < math.ceil(vacate)


def test_the_template_hash_moves_with_what_a_worker_is_made_from_and_with_nothing_else() -> None:
    def template_hash(worker: Template = WORKER, cluster: ClusterFacts = CLUSTER_FACTS, **policy: Any) -> str:
        return descriptions.template_hash(POOL_FACTS, cluster, worker, make_policy(**policy))

    same = template_hash(
        cluster=replace(CLUSTER_FACTS, replicas=7, phase="Odd"), job_expiry_seconds=1, breaker_failures=1
    )
    assert same == template_hash()
    others = [
        template_hash(make_template(cores=2)),
        template_hash(make_template(environment={"A": "b"})),
        template_hash(scheduler_address="other:1"),
        template_hash(vacate_seconds=7),
        template_hash(worker_preload=("site_credentials",)),
        template_hash(nanny_preload=("site_credentials",)),
    ]
    assert len({template_hash(), *others}) == 7
    without = make_template(nanny=False)
    assert template_hash(without, nanny_preload=("site_credentials",)) == template_hash(without)


def test_an_upgrade_replaces_nothing() -> None:
    """Other hashes replace all anchors and waiting workers of every site: CHANGELOG.md has to say so."""
    site = Profile("gpu", Template(), "HasGPU || Old", "Gpus", "group_gpu", {"isDaskJob": True})
    wish = make_template(
        profile="gpu", gpus=1, requirements="a || b", rank="KFlops", max_runtime_seconds=3600
    )
    transferred = make_policy(profiles={"gpu": site}, delivery="transfer")
    found = [
        descriptions.template_hash(POOL_FACTS, CLUSTER_FACTS, worker, policy)
        for worker, policy in ((WORKER, make_policy()), (wish, transferred))
    ]
    assert found == ["10208ca83da0", "530251e17f58"]


@pytest.mark.parametrize(("runs", "lives"), [(300, 192), (600, 507), (3600, 3240), (28800, 28200)])
def test_a_worker_ends_by_itself_before_its_job_is_ended(runs: int, lives: int) -> None:
    """Both clocks do not begin together: the job's begins with the start of its image."""
    template = make_template(max_runtime_seconds=runs)
    assert descriptions.bundle(make_cluster(), template, make_policy()).lifetime == lives
