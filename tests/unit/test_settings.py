"""The settings file: what it may say, and what the error says when it may not."""

import time
import traceback
from pathlib import Path

import pytest
import yaml

from htcdask_operator.core.policy import ClassAdExpression, PortRange
from htcdask_operator.settings import SettingsError, load, parse

LEAST = {
    "operatorId": "htcdask",
    "gatewayNamespaces": ["gateway"],
    "leader": {"namespace": "htcdask", "name": "htcdask"},
    "accessPoint": {"collector": "condor.example.org:9618", "schedd": "ap@condor.example.org"},
    "tokenFile": "/var/run/secrets/htcdask/token",
    "schedulerAddress": "gateway.example.org:8786",
}


def settings_text(**changes: object) -> str:
    return yaml.safe_dump({**LEAST, **changes})


def test_the_least_that_a_site_must_say_is_enough() -> None:
    settings = parse(settings_text())
    assert settings.access_point.schedd == "ap@condor.example.org"
    assert settings.gateway_namespaces == ("gateway",)
    assert settings.policy.operator_id == "htcdask"
    assert settings.policy.scheduler_address == "gateway.example.org:8786"
    assert settings.policy.delivery == "stream"
    assert (settings.leader.namespace, settings.leader.lease_seconds) == ("htcdask", 15)


def test_everything_that_decisions_depend_on_reaches_the_policy() -> None:
    settings = parse(
        settings_text(
            workerPorts="10000:10100",
            workerPreload=["site_credentials"],
            nannyPreload=["site_monitor", "other"],
            delivery="transfer",
            template={"cores": 2, "containerImage": "/cvmfs/image"},
            profiles={"gpu": {"template": {"gpus": 1}, "requirements": "A > 1", "attributes": {"B": True}}},
            limits={"maxReplicasPerPool": 50, "drainSeconds": 60},
            imagePathTemplate="/cvmfs/{registry}/{name}",
            allowedImages=["/cvmfs/*"],
            allowUserExpressions=False,
            accountingGroup="group_dask",
            jobExpirySeconds=600,
            healing={"breakerFailures": 3, "connectSeconds": 60},
        )
    )
    policy = settings.policy
    assert policy.worker_ports == PortRange(10000, 10100)
    assert (policy.worker_preload, policy.nanny_preload) == (("site_credentials",), ("site_monitor", "other"))
    assert policy.default_template.cores == 2
    assert policy.default_template.model_fields_set == {"cores", "container_image"}
    assert policy.profiles["gpu"].template.gpus == 1
    assert policy.profiles["gpu"].attributes == {"B": True}
    assert policy.max_replicas_per_pool == 50
    assert policy.drain_seconds == 60
    assert policy.image_path_template == "/cvmfs/{registry}/{name}"
    assert policy.allowed_images == ("/cvmfs/*",)
    assert not policy.allow_user_expressions
    assert (policy.job_expiry_seconds, policy.breaker_failures, policy.connect_seconds) == (600, 3, 60)


def test_a_key_without_a_value_is_not_set() -> None:
    settings = parse(settings_text(workerPorts=None, poll={"activeSeconds": None, "quietSeconds": 30}))
    assert settings.worker_ports is None
    assert (settings.poll.active_seconds, settings.poll.quiet_seconds) == (1.0, 30)


def test_an_attribute_may_be_a_list_or_what_htcondor_evaluates() -> None:
    written = {
        "Tags": ["a", 1, [True]],
        "Weight": {"expression": "RequestCpus * 2"},
        "Text": "RequestCpus * 2",
    }
    attributes = parse(settings_text(**profile(attributes=written))).policy.profiles["gpu"].attributes
    assert attributes == {
        "Tags": ("a", 1, (True,)),
        "Weight": ClassAdExpression("RequestCpus * 2"),
        "Text": "RequestCpus * 2",
    }


def test_a_list_that_names_itself_again_and_again_is_refused_in_a_moment() -> None:
    inner = ["x"] * 500
    outer = [[inner] * 500] * 500  # YAML has a short word for the same again
    text = settings_text(**profile(attributes={"A": outer}))
    assert len(text) < 50_000
    began = time.process_time()
    with pytest.raises(SettingsError, match="it is longer than 8192 characters"):
        parse(text)
    assert time.process_time() - began < 5
    of_itself = settings_text() + "profiles: {gpu: {attributes: {A: &a [x, *a]}}}\n"
    with pytest.raises(SettingsError, match="more than 3 lists inside of one another"):
        parse(of_itself)


def test_a_profile_may_give_more_memory_to_who_runs_out_of_it() -> None:
    given = parse(settings_text(**profile(outOfMemory={"maxMemory": "16Gi"})))
    assert given.policy.profiles["gpu"].max_memory == 16 * 2**30
    assert parse(settings_text(**profile(outOfMemory=None))).policy.profiles["gpu"].max_memory is None


def profile(**content: object) -> dict[str, object]:
    return {"profiles": {"gpu": content}}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"acessPoint": {}}, "acessPoint: no such key, did you mean accessPoint?"),
        ({"zzz": 1}, "zzz: no such key; there are operatorId, gatewayNamespaces, accessPoint,"),
        ({"poll": {"activeSecond": 3}}, "poll.activeSecond: no such key, did you mean activeSeconds?"),
        ({"template": {"memori": "8Gi"}}, "template.memori: no such key, did you mean memory?"),
        ({"template": {"memory": "8GB"}}, "template.memory: must be a Kubernetes quantity"),
        ({"profiles": {"gpu": {"template": {"core": 1}}}}, "profiles.gpu.template.core: no such key"),
        ({"profiles": {"GPU ": {}}}, "must be letters, digits and, between them, spaces"),
        ({"profiles": {"a'b": {}}}, "must be letters, digits and, between them, spaces"),
        ({"profiles": {"x\ny": {}}}, "must be letters, digits and, between them, spaces"),
        ({"profiles": {"x\n": {}}}, "must be letters, digits and, between them, spaces"),
        ({"profiles": {"x" * 64: {}}}, "must be letters, digits and, between them, spaces"),
        ({"profiles": {"GPU": {}, "gpu": {}}}, "profiles: GPU and gpu are one name to HTCondor"),
        (
            {"profiles": {"big": {"attributes": {"MyTags": ["a"], "mytags": "b"}}}},
            "attributes.MyTags and attributes.mytags are one to HTCondor",
        ),
        (profile(attributes={"+JobFlavour": "longlunch"}), "here the attribute's name is 'JobFlavour'"),
        (profile(attributes={"MY.SendCredential": True}), "here the attribute's name is 'SendCredential'"),
        (profile(attributes={"my.x y": True}), "here the attribute's name is 'x y'"),
        *[
            ({"accessPoint": {"collector": text, "schedd": "s"}}, 'accessPoint.collector: must be "host" or')
            for text in (":9", ":9618", "c:0", "c:65536", "c:", "a b", "tls://c", "c,", ",c", "c, d", "c,d:0")
        ],
        (
            {"jobExpirySeconds": 60, "poll": {"quietSeconds": 16}},
            "jobExpirySeconds (60) must be at least 4 times poll.quietSeconds (16)",
        ),
        (
            {"healing": {"backoffFirstSeconds": 11, "backoffLastSeconds": 10}},
            "healing.backoffFirstSeconds must not be longer than healing.backoffLastSeconds",
        ),
        ({"healing": {"backoffFirstSeconds": 601}}, "healing.backoffFirstSeconds must not be longer"),
        ({"operatorId": "a\n"}, "operatorId: must be lower-case letters"),
        ({"operatorId": None}, "operatorId: must be set"),
        ({"accessPoint": {"collector": "c:1"}}, "accessPoint.schedd: must be set"),
        ({"accessPoint": {"collector": "c:1", "schedd": "a\nb"}}, "accessPoint.schedd: must be one line"),
        ({"gatewayNamespaces": []}, "gatewayNamespaces: "),
        ({"gatewayNamespaces": "gateway"}, "gatewayNamespaces: "),
        ({"workerPorts": "10:20"}, "workerPorts: must be a range of ports from 1024 to 65535"),
        ({"workerPorts": "20000:10000"}, "workerPorts: must be a range of ports"),
        ({"workerPorts": 10000}, "workerPorts: "),
        ({"workerPreload": "site_credentials"}, "workerPreload: "),
        ({"workerPreload": [""]}, "workerPreload.0: "),
        ({"nannyPreload": ["one\ntwo"]}, "nannyPreload.0: must be one line"),
        ({"nannyPreload": ["x"] * 21}, "nannyPreload: "),
        ({"schedulerAddress": "gateway"}, 'schedulerAddress: must be "host:port"'),
        *[
            ({"schedulerAddress": text}, 'schedulerAddress: must be "host:port"')
            for text in ("2001:db8::1:443", "[2001:db8::1]", "[2001:db8::1]:0", "[gateway]:443", "[a:1")
        ],
        ({"schedulerAddress": "tls://gateway:8786"}, 'schedulerAddress: must be "host:port"'),
        ({"delivery": "pigeon"}, "delivery: Input should be 'stream' or 'transfer'"),
        ({"jobExpirySeconds": 3}, "jobExpirySeconds: "),
        ({"leader": None}, "leader: must be set"),
        ({"leader": {"namespace": "a", "name": "b", "leaseSeconds": 2}}, "leader.leaseSeconds: "),
        ({"leader": {"namespace": "a", "name": "b", "leaseSeconds": 301}}, "leader.leaseSeconds: "),
        ({"leader": {"namespace": "a", "nam": "b"}}, "leader.nam: no such key, did you mean name?"),
        ({"imagePathTemplate": "x{y}"}, "imagePathTemplate: must be a path with {registry} and {name}"),
        ({"limits": {"maxReplicasPerPool": -1}}, "limits.maxReplicasPerPool: "),
        ({"limits": {"maxMemory": "8GB"}}, "limits.maxMemory: "),
        ({"limits": {"maxMemoryPerUser": 8}}, "limits.maxMemoryPerUser: must be a Kubernetes quantity"),
        ({"limits": {"maxGpus": -1}}, "limits.maxGpus: "),
        (profile(users="alice"), "profiles.gpu.users: "),
        (profile(groups="dune"), "profiles.gpu.groups: "),
        (profile(groups=["x" * 257]), "profiles.gpu.groups.0: "),
        (profile(groups=["a\nb"]), "profiles.gpu.groups.0: must be one line"),
        (
            profile(template={"memory": "4Gi"}, outOfMemory={"maxMemory": "2Gi"}),
            "gpu: outOfMemory.maxMemory must not be less than template.memory (4Gi)",
        ),
        (
            {"template": {"memory": "4Gi"}, **profile(outOfMemory={"maxMemory": "2Gi"})},
            "profiles.gpu.outOfMemory.maxMemory must not be less than template.memory (4Gi)",
        ),
        (profile(outOfMemory={"maxMemory": 16}), "gpu.outOfMemory.maxMemory: must be a Kubernetes quantity"),
        (profile(outOfMemory={"maxMemory": "1Mi"}), "profiles.gpu.outOfMemory.maxMemory: "),
        (profile(outOfMemory={"maxMemory": "1Pi"}), "profiles.gpu.outOfMemory.maxMemory: "),
        (profile(outOfMemory={"max": "1Gi"}), "gpu.outOfMemory.max: no such key; there are maxMemory"),
        ({"imageTrees": ["/"]}, "imageTrees.0: must be the path of a folder"),
        ({"imageTrees": ["cvmfs"]}, "imageTrees.0: must be the path of a folder"),
        ({"imageTrees": ["/a/../b"]}, "imageTrees.0: must be the path of a folder"),
        (
            {"template": {"containerImage": "/opt/image"}},
            "template: the image /opt/image is a folder outside",
        ),
        ({"imagePathTemplate": "/opt/{registry}/{name}"}, "imagePathTemplate: the image /opt/"),
        ({"template": {"requirements": "a b"}}, "template.requirements: must be a ClassAd expression"),
        (profile(requirements='"\\" == ") || true //"'), "profiles.gpu.requirements: must be a ClassAd"),
        (profile(rank="KFlops KFlops"), "profiles.gpu.rank: must be a ClassAd expression"),
        (profile(template={"containerImage": "/opt/image"}), "profiles.gpu.template: the image /opt/image"),
        (
            profile(attributes={"periodicremove": False}),
            "profiles.gpu.attributes.periodicremove: the operator",
        ),
        (profile(attributes={"PeriodicRemove": "x"}), "the operator sets this attribute itself"),
        (profile(attributes={"LeaveJobInQueue": True}), "the operator sets this attribute itself"),
        (profile(attributes={"REQUIREMENTS": True}), "the operator sets this attribute itself"),
        (profile(attributes={"RequestMemory": 1}), "the operator sets this attribute itself"),
        (profile(attributes={"HTCDaskPoolUID": "x"}), "the operator sets this attribute itself"),
        (profile(attributes={"htcdaskUser": "x"}), "the operator sets this attribute itself"),
        (profile(attributes={"a b": 1}), "is not the name of a ClassAd attribute"),
        (profile(attributes={"A": "x\ny"}), "control characters"),
        (profile(attributes={"A": "$$(x)"}), "'$$'"),
        (profile(attributes={"A": "x\\"}), "backslash"),
        (profile(attributes={"A": float("inf")}), "no number"),
        (profile(attributes={"A": ["x", "y\n"]}), "profiles.gpu.attributes.A: '\"y\\n\"' has control"),
        (profile(attributes={"A": [[[["x"]]]]}), "gpu.attributes.A: it has more than 3 lists inside of one"),
        (profile(attributes={"A": ["x" * 5000] * 2}), "gpu.attributes.A: it is longer than 8192 characters"),
        (profile(attributes={"A": ["x", None]}), "gpu.attributes.A: a NoneType is no string, number"),
        (profile(attributes={"A": ["x", {"expression": "1"}]}), "gpu.attributes.A: a dict is no string"),
        (profile(attributes={"A": ["$ENV(", "$x"]}), "gpu.attributes.A: the list has a '$' inside of what"),
        (
            profile(attributes={"A": {"expresion": "1"}}),
            "attributes.A: must be a string, a number, true, false",
        ),
        (profile(attributes={"A": {"expression": 1}}), 'list of these or {expression: "..."}'),
        (profile(attributes={"A": {"expression": "1", "b": 2}}), 'list of these or {expression: "..."}'),
        *[
            (
                profile(attributes={"A": {"expression": text}}),
                f"gpu.attributes.A: must be a ClassAd expression; {why}",
            )
            for text, why in (
                ("", "it is empty"),
                ("RequestMemory *", "a value is missing"),
                ("1\n+PeriodicRemove = true", "it has a line break"),
                ("$$(Memory)", "it has '$$'"),
                ("(" * 60 + "1" + ")" * 60, "it is nested more than 50 deep"),
                ("1 + " * 600 + "1", "it is longer than 2048"),
                ("Requirements", "it names Requirements, which the pool itself sets"),
                ("eval(x)", "it has eval()"),
            )
        ],
        (
            profile(attributes={"A": {"expression": "a + 1"}}),
            "gpu: attributes.A names A, which is an expression",
        ),
        (
            profile(attributes={"A": {"expression": "MY.b + 'B'"}, "B": {"expression": "1 + 1"}}),
            "profiles.gpu: attributes.A names B, which is an expression itself",
        ),
        (profile(attributes={"LeaveJobInQueue": {"expression": "true"}}), "the operator sets this attribute"),
        ({"allowUserExpressions": "perhaps"}, "allowUserExpressions: "),
        (
            {"template": {"maxRuntimeSeconds": 90000}, "limits": {"maxRuntimeSeconds": 86400}},
            "template.maxRuntimeSeconds (90000) must not exceed limits.maxRuntimeSeconds (86400)",
        ),
        (
            {**profile(template={"maxRuntimeSeconds": 301}), "limits": {"maxRuntimeSeconds": 300}},
            "profiles.gpu.template.maxRuntimeSeconds (301) must not exceed",
        ),
    ],
)
def test_a_mistake_is_named_with_its_key(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(SettingsError) as error:
        parse(settings_text(**changes), "settings.yaml")
    assert str(error.value).startswith("settings.yaml: ")
    assert complaint in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"jobExpirySeconds": 60, "poll": {"quietSeconds": 15}},
        {"healing": {"backoffFirstSeconds": 600}},
        {"accessPoint": {"collector": "[::1]:9618", "schedd": "s"}},
        {"accessPoint": {"collector": "c:9618?sock=collector", "schedd": "s"}},
        {"accessPoint": {"collector": "cm1:9618,cm2.example,[2001:db8::1]:9618?sock=c", "schedd": "s"}},
        {"schedulerAddress": "[2001:db8::1]:443"},
    ],
)
def test_what_just_fits_is_taken(changes: dict[str, object]) -> None:
    parse(settings_text(**changes))


TOKEN = "s3cr3t-t0ken"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"template": {"environment": {"A": 4242424242}}},
            "template.environment.A: Input should be a valid string",
        ),
        ({"template": {"environment": {"A B": TOKEN}}}, "'A B' is not"),
        ({"template": {"environment": {f"A={TOKEN}": 1}}}, "template.environment.A: "),
        ({"template": {"environment": {"A": f"{TOKEN}\n"}}}, "that of A does"),
        ({"template": {"environment": {"A": TOKEN * 2000}}}, "at most 16384 characters"),
        ({"template": {"environment": {"A": {"B": TOKEN}}}}, "template.environment.A: "),
        ({"template": {"environment": TOKEN}}, "template.environment: "),
        ({"template": TOKEN}, "template: "),
        ({"template": [{"environment": {"A": TOKEN}}]}, "template: "),
        (
            {"template": {"cores": {"A": TOKEN}}},
            "template.cores: Input should be a valid integer (it is a dict)",
        ),
        ({"template": {"resources": {"A": TOKEN}}}, "template.resources.A: "),
        (
            {"profiles": {"gpu": {"template": {"environment": {"A": [TOKEN]}}}}},
            "gpu.template.environment.A: ",
        ),
        ({"profiles": {"gpu": {"environment": {"A": TOKEN}}}}, "profiles.gpu.environment: no such key"),
        ({"environment": {"A": TOKEN}}, "environment: no such key"),
    ],
)
def test_no_complaint_has_a_variable_s_value(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(SettingsError) as error:
        parse(settings_text(**changes))
    assert complaint in str(error.value)
    assert error.value.__suppress_context__
    assert TOKEN not in str(error.value) and "4242424242" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        f"template: {{environment: {{A: {TOKEN}, B: [}}",
        f"a: '{TOKEN}",
        f"a: {TOKEN}\n b: {TOKEN}: x",
        f"a: {TOKEN}\x01",
        f"%{TOKEN}",
        f"a: !{TOKEN} x",
        f"a: *{TOKEN}",
    ],
)
def test_a_file_that_is_no_yaml_is_not_quoted(text: str) -> None:
    with pytest.raises(SettingsError, match="not YAML: ") as error:
        parse(text)
    assert TOKEN not in str(error.value)


@pytest.mark.parametrize("text", ["", "- a", "a: [", "just text"])
def test_what_is_no_map_of_keys_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"settings\.yaml: "):
        parse(text, "settings.yaml")


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as error:
        parse(settings_text(delivery="pigeon", jobExpirySeconds=3))
    assert "delivery" in str(error.value)
    assert "jobExpirySeconds" in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.yaml: No such file or directory"):
        load(tmp_path / "nowhere.yaml")


SECRET = "c3VwZXItc2VjcmV0"


@pytest.mark.parametrize(
    "changes",
    [
        {"template": {"environment": {"TOKEN": SECRET + "\n"}}},
        {"template": {"environment": {"TOKEN": [SECRET]}}},
        {"template": {"environment": {"TOKEN": SECRET * 10_000}}},
        {"template": {"environment": [f"TOKEN={SECRET}"]}},
        {"template": {"environment": {"NOT A NAME": SECRET}}},
        {"template": {"environment": SECRET}},
        {"template": [{"environment": {"TOKEN": SECRET}}]},
        {"template": {"environment": {f"V{number}": SECRET for number in range(300)}}},
        {"profiles": {"gpu": {"template": {"environment": {"TOKEN": {"value": SECRET}}}}}},
        {"profiles": {"gpu": [{"template": {"environment": {"TOKEN": SECRET}}}]}},
        {"profiles": {"gpu": {"attributes": {"Token": [SECRET, None]}}}},
        {"profiles": {"gpu": {"attributes": {"Token": {"value": SECRET}}}}},
        {"profiles": [{"gpu": {"attributes": {"Token": SECRET}}}]},
    ],
)
def test_no_mistake_shows_what_is_in_an_environment(changes: dict[str, object]) -> None:
    with pytest.raises(SettingsError) as error:
        parse(settings_text(**changes))
    assert SECRET not in "".join(traceback.format_exception(error.value))
    assert next(iter(changes)) in str(error.value)


@pytest.mark.parametrize(
    "line", ["  TOKEN: {secret}: {secret}", "  TOKEN: 'x{secret}", "\tTOKEN: {secret}", "  TOKEN: @{secret}"]
)
def test_a_text_that_is_no_yaml_is_not_quoted(line: str) -> None:
    text = settings_text() + "template:\n environment:\n" + line.replace("{secret}", SECRET) + "\n"
    with pytest.raises(SettingsError, match=r"not YAML: line \d+, column") as error:
        parse(text)
    assert SECRET not in "".join(traceback.format_exception(error.value))
