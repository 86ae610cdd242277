"""What a real API server accepts, refuses and shows of an HTCWorkerPool."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from htcdask_api import PoolSpec, manifest, names
from playground.node.controlplane import ControlPlane

SAMPLES = Path(__file__).parents[2] / "crds/samples"
VALID = sorted(SAMPLES.glob("*.yaml"))
INVALID = sorted(SAMPLES.glob("invalid/*.yaml"))


def pool(name: str, **spec: Any) -> str:
    """A pool as JSON, which kubectl takes as it takes YAML."""
    return json.dumps(manifest.pool("default", name, "some-cluster", **spec))


def expected(path: Path) -> list[str]:
    """The parts of the message that the first line of an invalid sample asks for."""
    first = path.read_text().splitlines()[0]
    assert first.startswith("# expect: ")
    return first.removeprefix("# expect: ").split(" ... ")


def stem(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("sample", VALID, ids=stem)
def test_a_sample_is_accepted(api: ControlPlane, sample: Path) -> None:
    api.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(sample))


@pytest.mark.parametrize("sample", VALID, ids=stem)
def test_the_models_read_a_sample_as_the_api_server_stores_it(api: ControlPlane, sample: Path) -> None:
    stored = json.loads(api.kubectl("create", "--dry-run=server", "-o", "json", "-f", str(sample)))
    written = yaml.safe_load(sample.read_text())
    assert PoolSpec.model_validate(stored["spec"]) == PoolSpec.model_validate(written["spec"])


@pytest.mark.parametrize("sample", INVALID, ids=stem)
def test_an_invalid_sample_is_refused_with_the_field_and_the_rule(api: ControlPlane, sample: Path) -> None:
    answer = api.kubectl("create", "-f", str(sample), check=False)
    assert "is invalid" in answer
    position = 0
    for part in expected(sample):
        position = answer.find(part, position)
        assert position >= 0, f"{part!r} is not in its place in: {answer}"


@pytest.mark.parametrize("sample", INVALID, ids=stem)
def test_the_models_refuse_an_invalid_sample_too(sample: Path) -> None:
    with pytest.raises(ValidationError):
        PoolSpec.model_validate(yaml.safe_load(sample.read_text())["spec"])


def test_what_works_in_a_submit_file_is_accepted(api: ControlPlane) -> None:
    """The functions' rule, which reads no more than words, strings and brackets."""
    texts = [
        'member(TARGET.Machine, {"a.example","b.example"}) && !regexp("^n[0-9]+$", Machine)',
        "size(\"join(\") > 1e3 && TARGET.'join' isnt (undefined) && (a is (b))",
        "[a = 1; b = [c = {1, 2}]].b.c[0] == 1",
        "IfThenElse(isUndefined (KFlops), 0, real( KFlops )) + (Memory ?: -1)",
        " && ".join(f'Machine != "n{number:04d}"' for number in range(90)),
        "Join > 1 && Eval == undefined",
        '((("(")))',
    ]
    pools = [json.loads(pool(f"p{n}", template={"rank": text})) for n, text in enumerate(texts)]
    made = json.dumps({"apiVersion": "v1", "kind": "List", "items": pools})
    api.kubectl("create", "--dry-run=server", "-f", "-", input=made)


def test_a_misspelt_field_is_named(api: ControlPlane) -> None:
    answer = api.kubectl("create", "-f", "-", input=pool("typo", template={"gpu": 1}), check=False)
    assert 'unknown field "spec.template.gpu"' in answer


def test_every_field_of_the_samples_is_kept(api: ControlPlane) -> None:
    full = yaml.safe_load((SAMPLES / "full.yaml").read_text())
    stored = json.loads(
        api.kubectl("create", "--dry-run=server", "-o", "json", "-f", str(SAMPLES / "full.yaml"))
    )
    assert stored["spec"] == full["spec"]
    schema = PoolSpec.model_json_schema(by_alias=True)
    assert full["spec"].keys() == schema["properties"].keys()
    assert full["spec"]["template"].keys() == schema["$defs"]["Template"]["properties"].keys()


def test_too_much_environment_is_refused_and_much_is_not(api: ControlPlane) -> None:
    def create(size: int) -> str:
        template = {"environment": {f"VARIABLE_{n}": "x" * (size // 4 - 10) for n in range(4)}}
        text = pool("environment", template=template)
        return api.kubectl("create", "--dry-run=server", "-f", "-", input=text, check=False)

    assert "created" in create(32_768)
    assert "must not exceed 32768 characters in all" in create(32_772)


TOKEN = "s3cr3t-t0ken"


@pytest.mark.parametrize("checked", ["strict", "ignore"])
@pytest.mark.parametrize(
    ("template", "words"),
    [
        ({"environment": {"A B": TOKEN}}, "names must be letters, digits and underscores"),
        ({"environment": {f"A={TOKEN}": "1"}}, "names must be letters, digits and underscores"),
        ({"environment": {"A": f"{TOKEN}\n"}}, "values must not contain control characters"),
        ({"environment": {"A": TOKEN * 2000}}, "spec.template.environment.A: Too long"),
        ({"environment": {f"A{number}": TOKEN * 1000 for number in range(9)}}, "32768 characters in all"),
        ({"environment": {f"A{number}": TOKEN for number in range(300)}}, "must have at most 256 items"),
        ({"environment": {"A": {"B": TOKEN}}}, "spec.template.environment.A"),
        ({"environment": {"A": 4242424242}}, "must be of type string"),
        ({"environment": TOKEN}, "must be of type object"),
        ({"environment": {"A": TOKEN}, "cores": 0}, "spec.template.cores"),
        ({"environment": {"A": TOKEN}, "memory": "8GB"}, "spec.template.memory"),
        ({"resources": {"A": TOKEN}}, "must be of type number"),
    ],
)
def test_a_refusal_names_the_rule_and_no_value(
    api: ControlPlane, template: dict[str, Any], words: str, checked: str
) -> None:
    text = pool("secret", template=template)
    answer = api.kubectl("create", f"--validate={checked}", "-f", "-", input=text, check=False)
    assert words in answer
    assert TOKEN not in answer and "4242424242" not in answer


def test_a_change_that_is_refused_prints_no_value(api: ControlPlane) -> None:
    api.kubectl("create", "-f", "-", input=pool("kept", template={"environment": {"A": TOKEN}}))
    for environment in ({"A": f"{TOKEN}2"}, {"A B": TOKEN}, {"A": f"{TOKEN}\n"}):
        patch = json.dumps({"spec": {"template": {"environment": environment}}})
        answer = api.kubectl("patch", "htcwp/kept", "--type=merge", "-p", patch, check=False)
        assert "template cannot be changed" in answer
        assert TOKEN not in answer


def test_the_api_server_keeps_a_resource_s_number(api: ControlPlane) -> None:
    amounts = {"MEMORY": 8589934592, "THIRD": 1 / 3, "MOST": 10**12, "TENTH": 0.1}
    text = pool("amounts", template={"resources": amounts})
    stored = json.loads(api.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", input=text))
    assert PoolSpec.model_validate(stored["spec"]).template.resources == amounts


def test_scaling_a_pool_that_follows_the_gateway_says_what_to_do(api: ControlPlane) -> None:
    api.kubectl("create", "-f", "-", input=pool("follows"))
    answer = api.kubectl("scale", "htcwp/follows", "--replicas=3", check=False)
    assert "use cluster.scale(n), or set spec.scaling to Manual" in answer
    api.kubectl("patch", "htcwp/follows", "--type=merge", "-p", '{"spec": {"scaling": "Manual"}}')
    api.kubectl("scale", "htcwp/follows", "--replicas=3")
    assert api.kubectl("get", "htcwp/follows", "-o", "jsonpath={.spec.replicas}") == "3"


def test_an_autoscaler_gets_all_that_it_asks_for(api: ControlPlane) -> None:
    api.kubectl("create", "-f", "-", input=pool("scales", scaling="Manual", replicas=2))
    said = json.dumps({"status": {"replicas": 1, "selector": "htcdask.org/pool-uid=abc"}})
    api.kubectl("patch", "htcwp/scales", "--subresource=status", "--type=merge", "-p", said)
    path = "/apis/htcdask.org/v1alpha1/namespaces/default/htcworkerpools/scales/scale"
    scale = json.loads(api.kubectl("get", "--raw", path))
    assert scale["spec"] == {"replicas": 2}
    assert scale["status"] == {"replicas": 1, "selector": "htcdask.org/pool-uid=abc"}


def test_what_cannot_be_changed_says_so(api: ControlPlane) -> None:
    api.kubectl("create", "-f", "-", input=pool("fixed", template={"cores": 2}))
    other_cluster = '{"spec": {"clusterRef": {"name": "another"}}}'
    more_cores = '{"spec": {"template": {"cores": 4}}}'
    no_template = '{"spec": {"template": null}}'

    def patch(text: str) -> str:
        return api.kubectl("patch", "htcwp/fixed", "--type=merge", "-p", text, check=False)

    assert "clusterRef cannot be changed: make a new pool" in patch(other_cluster)
    assert "template cannot be changed: a new environment is a new pool" in patch(more_cores)
    assert "template cannot be changed" in patch(no_template)
    assert "patched" in patch('{"spec": {"maxReplicas": 5}}')


def test_pools_of_one_cluster_are_selected_by_the_server(api: ControlPlane) -> None:
    api.kubectl("create", "-f", "-", input=pool("mine", clusterRef={"name": "selected"}))
    api.kubectl("create", "-f", "-", input=pool("theirs"))
    names = api.kubectl("get", "htcwp", "--field-selector=spec.clusterRef.name=selected", "-o", "name")
    assert names.split() == ["htcworkerpool.htcdask.org/mine"]


def test_a_pool_reads_well_in_a_list(api: ControlPlane) -> None:
    api.kubectl("create", "-f", "-", input=pool("listed"))
    status = {
        "user": "alice",
        "desiredReplicas": 4,
        "connected": 3,
        "running": 3,
        "idle": 1,
        "held": 0,
        "conditions": [
            {
                "type": "Ready",
                "status": "False",
                "reason": "NoMatchingSlots",
                "message": "No slot has 512 GiB of memory.",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
                "observedGeneration": 1,
            }
        ],
    }
    patch = json.dumps({"status": status})
    api.kubectl("patch", "htcwp/listed", "--subresource=status", "--type=merge", "-p", patch)
    head, row = api.kubectl("get", "htcwp", "listed", "-o", "wide").splitlines()
    assert head.split()[1:] == [
        "CLUSTER",
        "USER",
        "DESIRED",
        "CONNECTED",
        "RUNNING",
        "IDLE",
        "HELD",
        "READY",
        "REASON",
        "AGE",
    ]
    assert row.split()[:-1] == [
        "listed",
        "some-cluster",
        "alice",
        "4",
        "3",
        "3",
        "1",
        "0",
        "False",
        "NoMatchingSlots",
    ]
    # Scripts wait for it by name.
    ready = json.dumps({"status": {"conditions": [{**status["conditions"][0], "status": "True"}]}})  # type: ignore[index]
    api.kubectl("patch", "htcwp/listed", "--subresource=status", "--type=merge", "-p", ready)
    api.kubectl("wait", "--for=condition=Ready", "--timeout=5s", "htcwp/listed")
    assert "htcworkerpool.htcdask.org/listed" in api.kubectl("get", "dask", "-o", "name")


def test_explain_describes_every_field(api: ControlPlane) -> None:
    text = api.kubectl("explain", "htcworkerpool", "--recursive")
    for field in ("clusterRef", "maxReplicas", "containerImage", "recentFailures", "holdReasonCode"):
        assert field in text
    memory = " ".join(api.kubectl("explain", "htcworkerpool.spec.template.memory").split())
    assert 'as a Kubernetes quantity ("4Gi", "512Mi"). 2Gi if nobody says otherwise.' in memory


def test_the_log_of_a_pool_is_shown_and_a_workers_text_read_by_its_name(api: ControlPlane) -> None:
    """As the docs tell people who have kubectl."""
    workers = [
        {"name": "w2", "endedAt": "2026-01-01T00:01:00Z", "outcome": "WorkerFailed", "text": "two\nlines\n"},
        {"name": "w1", "endedAt": "2026-01-01T00:00:00Z", "outcome": "Finished", "text": "one\n"},
    ]
    log = {"apiVersion": names.API_VERSION, "kind": names.LOG_KIND, "metadata": {"name": "p"}}
    api.kubectl("create", "--validate=strict", "-f", "-", input=json.dumps({**log, "workers": workers}))
    header, row = api.kubectl("get", "htcwl", "p").splitlines()
    assert header.split() == ["NAME", "NEWEST", "OUTCOME", "ENDED", "AGE"]
    assert row.split()[:3] == ["p", "w2", "WorkerFailed"]
    said = api.kubectl("get", "htcworkerlog", "p", "-o", """jsonpath={.workers[?(@.name=="w1")].text}""")
    assert said == "one\n"
    assert "workers" in api.kubectl("explain", "htcworkerlog")
    many = [{**workers[0], "name": f"w{number}"} for number in range(11)]
    for wrong in (many, [{**workers[0], "text": "x" * 16385}], [{"name": "w1"}]):
        body = {**log, "metadata": {"name": "wrong"}, "workers": wrong}
        assert "is invalid" in api.kubectl("create", "-f", "-", input=json.dumps(body), check=False)
