"""What Helm makes of the chart, and of values that cannot be right."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from htcdask_api import Template
from htcdask_operator import settings, settings_profiles, uninstall
from htcdask_operator.core.policy import ClassAdExpression
from htcdask_operator.settings import Settings
from playground.build import programs
from scripts import sync_chart_crd
from tests.chart.helm import CHART, EXAMPLE, HelmError, render, run_helm

ROOT = CHART.parents[1]
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
# What the chart works out by itself.
DERIVED = {"gatewayNamespaces", "accessPoint", "tokenFile"}


def settings_of(*arguments: str) -> Settings:
    """The rendered settings file, read by the operator's own parser."""
    text: str = render(*arguments)["ConfigMap", "htcdask"]["data"]["settings.yaml"]
    return settings.parse(text)


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = render()["Deployment", "htcdask"]["spec"]["template"]["spec"]
    return spec


def test_helm_finds_nothing_to_say() -> None:
    assert "0 chart(s) failed" in run_helm("lint", "--strict", str(CHART), "--values", str(EXAMPLE))


def test_the_chart_makes_these_objects_and_no_secret() -> None:
    assert sorted(kind for kind, _ in render()) == sorted(
        [
            "ConfigMap",
            *["CustomResourceDefinition"] * 2,
            "Deployment",
            "Job",
            "NetworkPolicy",
            "ServiceAccount",
            *["ClusterRole"] * 3,
            "ClusterRoleBinding",
            *["Role"] * 3,
            *["RoleBinding"] * 3,
            *["ValidatingAdmissionPolicy"] * 2,
            *["ValidatingAdmissionPolicyBinding"] * 2,
        ]
    )


@pytest.mark.parametrize("name", ["htcworkerpool", "htcworkerlog"])
def test_the_crds_are_the_originals(name: str) -> None:
    original = yaml.safe_load((ROOT / f"crds/{name}.yaml").read_text())
    crd = render()["CustomResourceDefinition", f"{name}s.htcdask.org"]
    assert crd["spec"] == original["spec"]
    assert crd["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_the_crds_may_be_left_out_or_let_go() -> None:
    left, free = render("--set", "crds.install=false"), render("--set", "crds.keep=false")
    for plural in ("htcworkerpools", "htcworkerlogs"):
        name = ("CustomResourceDefinition", f"{plural}.htcdask.org")
        assert name not in left
        assert "annotations" not in free[name]["metadata"]


def test_the_copies_of_the_crds_are_fresh_and_a_stale_one_is_told(tmp_path: Path) -> None:
    script = ROOT / "scripts/sync_chart_crd.py"
    subprocess.run([sys.executable, str(script), "--check"], check=True)
    for original, copy in sync_chart_crd.COPIES.items():
        assert sync_chart_crd.render(original) == copy.read_text()
        changed = tmp_path / original.name
        changed.write_text(original.read_text().replace("shortNames", "longNames"))
        assert sync_chart_crd.render(changed) != copy.read_text()


# Settings


def test_the_operator_reads_its_settings() -> None:
    parsed = settings_of()
    assert parsed.operator_id == "htcdask.htcdask"
    assert parsed.gateway_namespaces == ("gateway",)
    assert (parsed.access_point.collector, parsed.access_point.schedd) == (
        "condor.example.org:9618",
        "ap@condor.example.org",
    )
    assert parsed.scheduler_address == "dask.example.org:80"
    mounts = {mount["name"]: mount["mountPath"] for mount in pod()["containers"][0]["volumeMounts"]}
    assert parsed.token_file == Path(mounts["condor-token"]) / "token"


def test_the_charts_defaults_are_the_operators() -> None:
    minimal = {
        "operatorId": "htcdask.htcdask",
        "gatewayNamespaces": ["gateway"],
        "leader": {"namespace": "htcdask", "name": "htcdask"},
        "accessPoint": {"collector": "condor.example.org:9618", "schedd": "ap@condor.example.org"},
        "tokenFile": str(settings_of().token_file),
        "schedulerAddress": "dask.example.org:80",
    }
    assert settings_of() == Settings.model_validate(minimal)


def test_a_whole_site_reaches_the_operator(tmp_path: Path) -> None:
    site = {
        "settings": {
            "operatorId": "uchicago",
            "workerPorts": "10000:10100",
            "workerPreload": ["site_credentials", "/etc/dask/monitor.py"],
            "nannyPreload": ["site_monitor"],
            "delivery": "transfer",
            "template": {
                "containerImage": "/cvmfs/images/default",
                "maxRuntimeSeconds": 31536000,
                "environment": {"A": "1"},
            },
            "profiles": {
                "gpu": {
                    "template": {"gpus": 1, "memory": "16Gi"},
                    "requirements": "GPUs_Capability >= 7.0",
                    "accountingGroup": "group_gpu",
                    "attributes": {
                        "Experiment": "dune",
                        "Priority": 1000000,
                        "Nice": True,
                        "Tags": ["a", [1000000]],
                        "Weight": {"expression": "RequestCpus * 2"},
                    },
                    "outOfMemory": {"maxMemory": "16Gi"},
                    "maxReplicas": 20,
                    "users": ["alice", "dune-*"],
                    "groups": ["atlas"],
                }
            },
            "allowedImages": ["/cvmfs/images/*"],
            "imageTrees": ["/cvmfs", "/images"],
            "imagePathTemplate": "/cvmfs/unpacked.cern.ch/{registry}/{name}",
            "limits": {
                "maxReplicasPerPool": 100000,
                "maxReplicasPerUser": 200,
                "maxReplicas": 5000,
                "maxCoresPerUser": 400,
                "maxMemory": "20Ti",
                "maxGpus": None,
                "drainSeconds": 31536000,
            },
            "defaultPool": False,
        }
    }
    values = tmp_path / "site.yaml"
    values.write_text(yaml.safe_dump(site))
    parsed = settings_of("--values", str(values))
    assert parsed.operator_id == "uchicago"
    assert parsed.template.max_runtime_seconds == 31_536_000
    assert parsed.profiles["gpu"].attributes == {
        "Experiment": "dune",
        "Priority": 1_000_000,
        "Nice": True,
        "Tags": ("a", (1_000_000,)),
        "Weight": ClassAdExpression("RequestCpus * 2"),
    }
    assert parsed.profiles["gpu"].out_of_memory.max_memory == 16 * 2**30
    assert parsed.profiles["gpu"].template.memory == "16Gi"
    assert parsed.limits.max_replicas_per_pool == 100_000
    assert (parsed.limits.max_replicas_per_user, parsed.limits.max_replicas) == (200, 5000)
    assert (parsed.limits.max_cores_per_user, parsed.limits.max_memory) == (400, 20 * 2**40)
    assert parsed.limits.max_gpus is None
    assert parsed.profiles["gpu"].users == ("alice", "dune-*")
    assert parsed.profiles["gpu"].groups == ("atlas",)
    assert parsed.limits.drain_seconds == 31_536_000
    assert not parsed.default_pool
    assert parsed.allowed_images == ("/cvmfs/images/*",)
    assert parsed.image_trees == ("/cvmfs", "/images")


def test_the_schema_knows_every_setting_and_no_other() -> None:
    keys = {field.alias for field in Settings.model_fields.values()}
    assert SCHEMA["properties"]["settings"]["properties"].keys() | DERIVED == keys
    assert VALUES["settings"].keys() | DERIVED == keys
    template = {field.alias for field in Template.model_fields.values()} - {"profile"}
    assert SCHEMA["definitions"]["template"]["properties"].keys() == template
    leader = {field.alias for field in settings.Leader.model_fields.values()} - {"namespace", "name"}
    assert SCHEMA["properties"]["settings"]["properties"]["leader"]["properties"].keys() == leader
    profile = settings_profiles.ProfileSettings.model_fields.values()
    assert SCHEMA["definitions"]["profile"]["properties"].keys() == {field.alias for field in profile}


def test_the_schema_lets_an_expression_of_a_profile_be_as_long_as_the_operator_does() -> None:
    schema = settings_profiles.ProfileSettings.model_json_schema()["properties"]
    for field in ("requirements", "rank"):
        (longest,) = [kind["maxLength"] for kind in schema[field]["anyOf"] if "maxLength" in kind]
        assert SCHEMA["definitions"]["profile"]["properties"][field]["maxLength"] == longest


def test_the_schema_knows_every_value_and_no_other() -> None:
    def same(values: Any, schema: dict[str, Any], path: str) -> None:
        if not isinstance(values, dict) or schema.get("additionalProperties") is not False:
            return
        known = schema["properties"].keys() - ({"global"} if not path else set())
        assert values.keys() == known, path
        for key, value in values.items():
            same(value, schema["properties"][key], f"{path}.{key}")

    same({k: v for k, v in VALUES.items() if k != "settings"}, _without_settings(), "")


def _without_settings() -> dict[str, Any]:
    properties = {key: value for key, value in SCHEMA["properties"].items() if key != "settings"}
    return {**SCHEMA, "properties": properties}


def test_a_change_of_settings_restarts_the_operator() -> None:
    def checksum(*arguments: str) -> str:
        deployment = render(*arguments)["Deployment", "htcdask"]
        return str(deployment["spec"]["template"]["metadata"]["annotations"]["checksum/settings"])

    assert checksum() == checksum()
    assert checksum() != checksum("--set", "settings.jobExpirySeconds=7200")


# Refusals


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("condor.collector", "condor.collector is needed: the HTCondor collector"),
        ("condor.schedd", "condor.schedd is needed: the access point's name"),
        ("condor.tokenSecret.name", "condor.tokenSecret.name is needed: the Secret that holds"),
        (
            "settings.schedulerAddress",
            "settings.schedulerAddress is needed: host:port of the gateway's proxy",
        ),
    ],
)
def test_what_has_no_default_is_asked_for(missing: str, sentence: str) -> None:
    with pytest.raises(HelmError, match=sentence):
        render("--set", f"{missing}=")


@pytest.mark.parametrize(
    ("value", "place", "rule"),
    [
        ("settings.shedulerAddress=a:1", "/settings", "'shedulerAddress' not allowed"),
        (
            "settings.schedulerAddress=dask.example.org",
            "/settings/schedulerAddress",
            "does not match pattern",
        ),
        ("settings.delivery=pigeon", "/settings/delivery", "'stream', 'transfer'"),
        ("settings.template.cores=0", "/settings/template/cores", "minimum: got 0, want 1"),
        ("settings.template.memory=8GB", "/settings/template/memory", "does not match pattern"),
        (
            "settings.template.containerImage=worker:latest",
            "/settings/template/containerImage",
            "does not match pattern",
        ),
        ("settings.profiles.gpu.template.gpu=1", "/settings/profiles/gpu/template", "'gpu' not allowed"),
        ("settings.jobExpirySeconds=5", "/settings/jobExpirySeconds", "minimum: got 5, want 60"),
        ("settings.leader.leaseSeconds=2", "/settings/leader/leaseSeconds", "minimum: got 2, want 3"),
        ("settings.leader.leaseSeconds=301", "/settings/leader/leaseSeconds", "maximum: got 301, want 300"),
        ("settings.leader.name=other", "/settings/leader", "'name' not allowed"),
        *[
            (f"condor.collector={text}", "/condor/collector", "does not match pattern")
            for text in (":9618", "c:99999", "c:0", "c:", "http://c", "a b", "::1:9618", r"c\,", r"c\,d:0")
        ],
        ("settings.schedulerAddress=2001:db8::1:443", "/settings/schedulerAddress", "does not match pattern"),
        ("settings.schedulerAddress=a:65536", "/settings/schedulerAddress", "does not match pattern"),
        ("settings.limits=null", "/settings", "missing property 'limits'"),
        ("settings=null", "", "missing property 'settings'"),
        ("admissionPolicy.enabled=null", "/admissionPolicy", "missing property 'enabled'"),
        ("networkPolicy.from.podSelector=x", "/networkPolicy/from", "want array"),
        ("image.digest=latest", "/image/digest", "does not match pattern"),
        ("condor.token=eyJhbGciOi", "/condor", "'token' not allowed"),
        ("replicas=2", "", "'replicas' not allowed"),
    ],
)
def test_a_bad_value_is_refused_by_its_place_and_rule(value: str, place: str, rule: str) -> None:
    with pytest.raises(HelmError) as caught:
        render("--set", value)
    said = str(caught.value)
    assert f"at '{place}'" in said
    assert rule in said


@pytest.mark.parametrize(
    "collector",
    [
        *("c", "c.example:1", "192.0.2.7:65535", "[2001:db8::1]:9618", "c:9618?sock=collector"),
        "cm1:9618,cm2:9618,[2001:db8::1]",
    ],
)
def test_a_collector_is_a_host_and_perhaps_a_port_and_there_may_be_several(collector: str) -> None:
    written = collector.replace(",", r"\,")
    assert settings_of("--set", f"condor.collector={written}").access_point.collector == collector


def test_a_scheduler_address_may_be_ipv6() -> None:
    parsed = settings_of("--set", "settings.schedulerAddress=[2001:db8::1]:443")
    assert parsed.scheduler_address == "[2001:db8::1]:443"


def test_an_attribute_as_submit_files_write_it_is_refused_with_its_name() -> None:
    for written in ("+JobFlavour", r"MY\.JobFlavour"):
        with pytest.raises(HelmError, match="the attribute's name is JobFlavour"):
            render("--set", f"settings.profiles.Small Worker.attributes.{written}=longlunch")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            ("jobExpirySeconds=60", "poll.quietSeconds=16"),
            "settings.jobExpirySeconds .60. must be at least four",
        ),
        (("jobExpirySeconds=2399", "poll.quietSeconds=600"), "times settings.poll.quietSeconds .600."),
        (
            ("healing.backoffFirstSeconds=601",),
            "settings.healing.backoffFirstSeconds .601. must not be longer",
        ),
        (("healing.backoffLastSeconds=9",), "than settings.healing.backoffLastSeconds .9."),
    ],
)
def test_times_that_do_not_fit_each_other_are_refused_by_name(values: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(HelmError, match=sentence):
        render(*(word for value in values for word in ("--set", f"settings.{value}")))


@pytest.mark.parametrize(
    "values",
    [
        ("jobExpirySeconds=60", "poll.quietSeconds=15"),
        ("jobExpirySeconds=2400", "poll.quietSeconds=600"),
        ("healing.backoffFirstSeconds=7", "healing.backoffLastSeconds=7"),
        ("healing=null", "poll=null", "jobExpirySeconds=null"),
    ],
)
def test_times_that_just_fit_are_taken(values: tuple[str, ...]) -> None:
    settings_of(*(word for value in values for word in ("--set", f"settings.{value}")))


def _places(values: Any, path: str = "") -> list[str]:
    """The path of every value in values.yaml, sections too."""
    found = []
    for key, value in values.items():
        found.append(f"{path}{key}")
        if isinstance(value, dict):
            found += _places(value, f"{path}{key}.")
    return found


def _nulls(value: Any, path: str) -> list[str]:
    if isinstance(value, dict):
        return [each for key, item in value.items() for each in _nulls(item, f"{path}.{key}")]
    if isinstance(value, list):
        return [each for number, item in enumerate(value) for each in _nulls(item, f"{path}[{number}]")]
    return [path] if value is None or "%!" in str(value) else []


def _with_null(place: str) -> str:
    """What is odd about the chart when this value is null; nothing if it is refused in words."""
    try:
        objects = render("--set", f"{place}=null")
    except HelmError as error:
        in_words = "missing property" in str(error) or " is needed" in str(error)
        return "" if in_words else f"{place}: {error}"
    text = objects["ConfigMap", "htcdask"]["data"]["settings.yaml"]
    settings.parse(text)
    parts = [each for (kind, which), one in objects.items() for each in _nulls(one, f"{kind} {which}")]
    return f"{place}: {parts}" if parts else ""


def test_null_is_a_default_or_refused_in_words_wherever_it_stands() -> None:
    with ThreadPoolExecutor(4) as threads:
        assert [odd for odd in threads.map(_with_null, _places(VALUES)) if odd] == []


# Names that YAML would take for something else

NAMED = (
    "name",
    "namespace",
    "serviceAccountName",
    "secretName",
    "priorityClassName",
    "policyName",
    "image",
    "key",
)


def _not_texts(value: Any, path: str = "") -> list[str]:
    """Where something stands for a name, and is none."""
    if isinstance(value, list):
        return [each for number, item in enumerate(value) for each in _not_texts(item, f"{path}[{number}]")]
    if not isinstance(value, dict):
        return []
    found = []
    for key, item in value.items():
        where = f"{path}.{key}"
        if not isinstance(key, str) or (key in NAMED and not isinstance(item, str)):
            found.append(f"{where} is {item!r}")
        elif key in (
            "labels",
            "annotations",
            "matchLabels",
            "nodeSelector",
            "resourceNames",
            "args",
            "command",
        ):
            items = item.values() if isinstance(item, dict) else item
            found += [f"{where} has {each!r}" for each in items if not isinstance(each, str)]
        else:
            found += _not_texts(item, where)
    return found


@pytest.mark.parametrize("name", ["123", "true", "null", "1e3", "0x1f", "on", "2026-01-01"])
def test_names_are_texts_wherever_they_stand(name: str, tmp_path: Path) -> None:
    values = {
        "nameOverride": name,
        "fullnameOverride": name,
        "image": {"repository": name, "tag": name},
        "gateway": {"namespace": name, "serviceAccountName": name, "serviceAccountNamespace": name},
        "condor": {"collector": name, "schedd": name, "tokenSecret": {"name": name, "key": name}},
        "settings": {"schedulerAddress": f"{name}:1", "operatorId": name, "accountingGroup": name},
        "serviceAccount": {"name": name, "annotations": {name: name}},
        "imagePullSecrets": [{"name": name}],
        "podLabels": {name: name},
        "podAnnotations": {name: name},
        "nodeSelector": {name: name},
        "priorityClassName": name,
    }
    file = tmp_path / "values.yaml"
    file.write_text(json.dumps(values))  # every text in quotes
    for changes in ((), ("--set", "fullnameOverride="), ("--set", "fullnameOverride=,nameOverride=")):
        objects = render(*changes, values=file, release=name, namespace=name)
        assert len(objects) == len(render())
        for (kind, which), one in objects.items():
            seen = one["metadata"] if kind == "CustomResourceDefinition" else one  # a schema tells of fields
            assert _not_texts(seen, f"{kind} {which}") == []
        (config,) = (one for (kind, _), one in objects.items() if kind == "ConfigMap")
        parsed = settings.parse(config["data"]["settings.yaml"])
        assert (parsed.gateway_namespaces, parsed.leader.namespace) == ((name,), name)
        (job,) = (one for (kind, _), one in objects.items() if kind == "Job")
        given = job["spec"]["template"]["spec"]["containers"][0]["args"]
        assert given[:2] == [f"--namespace={name}", f"--access-point={name}"]


# Who reaches the operator


def test_only_the_health_port_is_reached_and_from_where_the_site_says() -> None:
    spec = render("--set", "settings.healthPort=9090")["NetworkPolicy", "htcdask"]["spec"]
    assert spec["policyTypes"] == ["Ingress"]
    assert spec["ingress"] == [{"ports": [{"protocol": "TCP", "port": 9090}]}]
    labels = render()["Deployment", "htcdask"]["spec"]["template"]["metadata"]["labels"]
    assert spec["podSelector"]["matchLabels"].items() <= labels.items()
    peers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    given = ("--set-json", f"networkPolicy.from={json.dumps(peers)}")
    assert render(*given)["NetworkPolicy", "htcdask"]["spec"]["ingress"][0]["from"] == peers


def test_there_is_no_network_policy_where_the_site_wants_none() -> None:
    assert ("NetworkPolicy", "htcdask") not in render("--set", "networkPolicy.enabled=false")


def test_an_older_kubernetes_is_refused() -> None:
    with pytest.raises(HelmError, match=r"requires kubeVersion: >=1\.32"):
        render("--kube-version", "1.31.0")


# The pod and its rights


def test_the_pod_is_as_small_as_it_can_be() -> None:
    spec = pod()
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["enableServiceLinks"] is False
    writable = [mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["tmp"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert volumes["tmp"]["emptyDir"]["medium"] == "Memory"
    assert volumes["condor-token"]["secret"] == {
        "secretName": "condor-token",
        "defaultMode": 0o440,
        "optional": True,
        "items": [{"key": "token", "path": "token"}],
    }
    # The token is a file: never an environment variable, which every child process would inherit.
    assert all("secretKeyRef" not in variable.get("valueFrom", {}) for variable in container["env"])


def test_one_operator_at_a_time() -> None:
    spec = render()["Deployment", "htcdask"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_the_lease_is_named_as_the_role_names_it_and_held_by_the_pod() -> None:
    for fullname, release in (("htcdask", ()), ("other", ("--set", "fullnameOverride=other"))):
        objects = render(*release)
        parsed = settings.parse(objects["ConfigMap", fullname]["data"]["settings.yaml"])
        assert (parsed.leader.namespace, parsed.leader.name) == ("htcdask", fullname)
        assert objects["Role", f"{fullname}-lease"]["rules"][1]["resourceNames"] == [fullname]
    (name,) = [variable for variable in pod()["containers"][0]["env"] if variable["name"] == "POD_NAME"]
    assert name["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}


def test_a_lease_of_another_length_reaches_the_operator() -> None:
    leader = settings_of("--set", "settings.leader.leaseSeconds=40").leader
    assert (leader.lease_seconds, leader.name) == (40, "htcdask")


Rule = tuple[list[str], list[str], list[str], list[str] | None]
READ = ["get", "list", "watch"]
POOLS, CLUSTERS, LEASES = ["htcdask.org"], ["gateway.dask.org"], ["coordination.k8s.io"]
RIGHTS: dict[tuple[str, str, str | None], list[Rule]] = {
    ("Role", "htcdask-htcdask-operator", "gateway"): [
        (POOLS, ["htcworkerpools"], ["create", "delete"], None),
        (POOLS, ["htcworkerlogs"], ["get", "create", "patch"], None),
        (CLUSTERS, ["daskclusters"], ["use"], None),
        ([""], ["secrets"], ["get"], None),
        ([""], ["pods"], ["get"], None),
        ([""], ["events"], ["create"], None),
        (LEASES, ["leases"], ["create"], None),
        (LEASES, ["leases"], ["get", "patch"], ["htcdask-worker-pools"]),
        ([""], ["configmaps"], ["create", "patch"], ["htcdask-offer"]),
    ],
    ("ClusterRole", "htcdask-htcdask-operator", None): [
        (POOLS, ["htcworkerpools"], ["get", "list", "watch", "patch"], None),
        (POOLS, ["htcworkerpools/status"], ["patch"], None),
        (CLUSTERS, ["daskclusters"], ["get", "list", "watch"], None),
        ([""], ["namespaces"], ["get"], ["kube-system", "gateway"]),
    ],
    ("Role", "htcdask-lease", "htcdask"): [
        (LEASES, ["leases"], ["create"], None),
        (LEASES, ["leases"], ["get", "patch"], ["htcdask"]),
        ([""], ["events"], ["create"], None),
    ],
    ("Role", "htcdask-htcdask-gateway", "gateway"): [
        (POOLS, ["htcworkerpools"], ["get", "list", "create", "patch", "delete"], None),
        (POOLS, ["htcworkerlogs"], ["get"], None),
        (CLUSTERS, ["daskclusters"], ["use"], None),
        ([""], ["configmaps"], ["get"], ["htcdask-offer"]),
        (LEASES, ["leases"], ["get"], ["htcdask-worker-pools"]),
    ],
    ("ClusterRole", "htcdask-htcdask-view", None): [
        (POOLS, ["htcworkerpools", "htcworkerpools/scale", "htcworkerlogs"], READ, None),
    ],
    ("ClusterRole", "htcdask-htcdask-edit", None): [
        (POOLS, ["htcworkerpools"], ["create", "update", "patch", "delete"], None),
        (POOLS, ["htcworkerpools/scale"], ["update", "patch"], None),
    ],
}


def test_rights_are_these_and_no_other() -> None:
    """Each rule to the letter: who needs another right writes it here, and says why in the chart."""
    found = {
        (kind, name, role["metadata"].get("namespace")): [
            (rule["apiGroups"], rule["resources"], rule["verbs"], rule.get("resourceNames"))
            for rule in role["rules"]
        ]
        for (kind, name), role in render().items()
        if kind in ("Role", "ClusterRole")
    }
    assert found == RIGHTS


def test_every_role_is_bound_to_one_account_and_no_group() -> None:
    objects = render()
    bindings = {
        name: o for (kind, name), o in objects.items() if kind in ("RoleBinding", "ClusterRoleBinding")
    }
    assert {
        name: [(s["kind"], s["namespace"], s["name"]) for s in o["subjects"]] for name, o in bindings.items()
    } == {
        "htcdask-htcdask-operator": [("ServiceAccount", "htcdask", "htcdask")],
        "htcdask-lease": [("ServiceAccount", "htcdask", "htcdask")],
        "htcdask-htcdask-gateway": [("ServiceAccount", "gateway", "api-dask-gateway")],
    }


def test_without_a_gateway_account_there_is_no_role_for_it() -> None:
    assert ("Role", "htcdask-htcdask-gateway") not in render("--set", "gateway.serviceAccountName=")


def test_the_roles_of_people_never_reach_status() -> None:
    roles = [
        o
        for (kind, _), o in render().items()
        if kind == "ClusterRole" and "rbac.authorization.k8s.io/aggregate-to-admin" in o["metadata"]["labels"]
    ]
    assert len(roles) == 2
    resources = {resource for role in roles for rule in role["rules"] for resource in rule["resources"]}
    assert resources == {"htcworkerpools", "htcworkerpools/scale", "htcworkerlogs"}
    for role in roles:
        for rule in role["rules"]:
            assert "htcworkerlogs" not in rule["resources"] or rule["verbs"] == READ


def test_a_digest_wins_over_a_tag() -> None:
    digest = "sha256:" + "0" * 64
    objects = render("--set", "image.tag=dev", "--set", f"image.digest={digest}")
    container = objects["Deployment", "htcdask"]["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == f"htcdask/operator@{digest}"


# The hook before an uninstallation


def hook(*arguments: str, fullname: str = "htcdask") -> tuple[dict[str, Any], dict[str, Any]]:
    """The Job, and its pod's spec."""
    job = render(*arguments)["Job", f"{fullname}-uninstall"]
    return job, job["spec"]["template"]["spec"]


def test_the_hooks_pod_may_talk_to_the_api_server_and_is_as_small_as_the_operators() -> None:
    values = {
        "imagePullSecrets": [{"name": "registry"}],
        "priorityClassName": "high",
        "hostAliases": [{"ip": "192.0.2.7", "hostnames": ["k.example"]}],
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "only", "operator": "Exists"}],
        "affinity": {"podAffinity": {}},
    }
    given = [word for key, value in values.items() for word in ("--set-json", f"{key}={json.dumps(value)}")]
    operator = render(*given)["Deployment", "htcdask"]["spec"]["template"]["spec"]
    _, spec = hook(*given)
    same = (
        "serviceAccountName",
        "automountServiceAccountToken",
        "enableServiceLinks",
        "securityContext",
        *values,
    )
    assert {key: spec[key] for key in same} == {key: operator[key] for key in same}
    assert spec["automountServiceAccountToken"] is True
    (container,), (operators,) = spec["containers"], operator["containers"]
    for key in ("image", "imagePullPolicy", "securityContext", "resources"):
        assert container[key] == operators[key]
    assert render()["ServiceAccount", "htcdask"]["automountServiceAccountToken"] is False


def test_the_hook_needs_no_settings_and_no_volume() -> None:
    _, spec = hook("--set", "uninstall.seconds=7")
    assert "volumes" not in spec
    assert spec["containers"][0]["args"] == [
        "--namespace=gateway",
        "--access-point=ap@condor.example.org",
        "--lease=htcdask/htcdask",
        "--seconds=7",
    ]


def test_the_hooks_times_fit_into_each_other() -> None:
    """Jobs' time < the program's < the Job's < what Helm waits by itself."""
    seconds = VALUES["uninstall"]["seconds"]
    job, spec = hook()
    most = seconds + uninstall.RELEASE_SECONDS
    assert most + 60 <= job["spec"]["activeDeadlineSeconds"] <= 300 - 30
    assert spec["terminationGracePeriodSeconds"] <= 10
    job, _ = hook("--set", "uninstall.seconds=600")
    assert job["spec"]["activeDeadlineSeconds"] > 600 + uninstall.RELEASE_SECONDS


def test_the_hook_is_gone_when_it_succeeded_and_tried_anew_when_it_was_killed() -> None:
    job, spec = hook()
    notes = job["metadata"]["annotations"]
    assert notes["helm.sh/hook"] == "pre-delete"
    assert set(notes["helm.sh/hook-delete-policy"].split(",")) == {"before-hook-creation", "hook-succeeded"}
    assert set(notes["helm.sh/hook-output-log-policy"].split(",")) == {"hook-succeeded", "hook-failed"}
    assert job["spec"]["backoffLimit"] >= 1
    assert spec["restartPolicy"] == "Never"
    explained = job["spec"]["podFailurePolicy"]["rules"][0]
    assert explained == {
        "action": "FailJob",
        "onExitCodes": {"operator": "In", "values": [uninstall.EXPLAINED]},
    }


def test_there_is_no_hook_where_pools_shall_stay() -> None:
    assert ("Job", "htcdask-uninstall") not in render("--set", "uninstall.deletePools=false")


# Two releases in one cluster


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("team", "a-htcdask"), ("team-a", "htcdask")),
        (("a", "b.htcdask"), ("a-b", "htcdask")),
        (("a", "b-htcdask"), ("a-b", "htcdask")),
        (("n" * 63, "htcdask"), ("n" * 63, "htcdask-two")),
        (("one", "htcdask"), ("two", "htcdask")),
    ],
)
def test_two_releases_share_no_name_and_no_identity(one: tuple[str, str], other: tuple[str, str]) -> None:
    def own(namespace: str, release: str) -> tuple[set[tuple[str, str]], str]:
        objects = render(release=release, namespace=namespace)
        (config,) = [o for (kind, _), o in objects.items() if kind == "ConfigMap"]
        identity = settings.parse(config["data"]["settings.yaml"]).operator_id
        shared = {
            (o["kind"], o["metadata"]["name"])
            for o in objects.values()
            if o["metadata"].get("namespace") in (None, "gateway") and o["kind"] != "CustomResourceDefinition"
        }
        assert len(shared) == 12
        return shared, identity

    (names, identity), (others, another) = own(*one), own(*other)
    assert not names & others
    assert identity != another


def test_whoever_applies_what_helm_prints_applies_no_hook() -> None:
    """As an ordinary Job it would end everybody's pools."""
    version = ("--kube-version", programs.KUBERNETES)
    printed = run_helm("template", "htcdask", str(CHART), "--values", str(EXAMPLE), *version)
    kinds = [document["kind"] for document in yaml.safe_load_all(printed) if document]
    assert "Deployment" in kinds and "Job" not in kinds
