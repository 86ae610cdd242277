"""The profiles of a site as people read them, and as data."""

import json

from htcdaskgateway import Profiles
from htcdaskgateway._worker_pools.profiles import Offer

TEMPLATE = {"containerImage": "/cvmfs/org/image", "cores": 1, "memory": "2Gi", "disk": "4Gi", "gpus": 0}
SAID = {
    "template": {**TEMPLATE, "maxRuntimeSeconds": 86400},
    "profiles": [
        {
            "name": "Small GPU",
            "youMay": True,
            "template": {"gpus": 1, "memory": "16Gi", "maxRuntimeSeconds": 5400},
            "attributes": ["JobFlavour", "<b>x\x1b[2J"],
        },
        {"name": "dune", "youMay": False, "template": {"cores": 4}, "attributes": [], "maxReplicas": 20},
    ],
    "limits": {"maxReplicasPerPool": 1000, "maxMemoryPerUser": 2**36, "maxRuntimeSeconds": 86400},
    "images": {"trees": ["/cvmfs", "/data"], "allowed": ["/cvmfs/*"], "fromGateway": False},
    "userExpressions": True,
}
PROFILES = Profiles(Offer.model_validate(SAID))
TEXT = """\
profile    cores  memory  disk  GPUs  longest run  image             attributes                for you
(none)     1      2Gi     4Gi   0     1 d          /cvmfs/org/image                            yes
Small GPU  1      16Gi    4Gi   1     90 min       /cvmfs/org/image  JobFlavour, <b>x?[2J      yes
dune       4      2Gi     4Gi   0     1 d          /cvmfs/org/image                            no
At the most: 1000 workers of one pool; 64 GiB memory of one user; 1 d run time of one worker.
Unpacked images are below /cvmfs or /data.
The images that the site allows: /cvmfs/*."""


def test_a_table_shows_what_each_gives_with_the_blanks_filled() -> None:
    assert repr(PROFILES).splitlines() == str(PROFILES).splitlines()
    assert [line.split() for line in str(PROFILES).splitlines()] == [
        line.split() for line in TEXT.splitlines()
    ]


def test_a_notebook_shows_a_table_in_which_nothing_is_markup() -> None:
    html = PROFILES._repr_html_()
    assert html.startswith("<table><thead><tr><th>profile</th>")
    assert html.count("<tr>") == 4
    assert "<td>JobFlavour, &lt;b&gt;x?[2J</td>" in html
    assert html.endswith("<p>The images that the site allows: /cvmfs/*.</p>")


def test_as_data_it_is_what_the_gateway_said() -> None:
    data = PROFILES.to_dict()
    assert data == {"situation": None, **SAID}
    assert json.loads(json.dumps(data)) == data


def test_what_is_not_known_is_not_none() -> None:
    unknown = Profiles(None, "the gateway does not say <\x07>")
    assert str(unknown) == "The profiles of this site are not known: the gateway does not say <?>"
    assert unknown._repr_html_() == f"<p>{str(unknown).replace('<', '&lt;').replace('>', '&gt;')}</p>"
    assert unknown.to_dict() == {"situation": "the gateway does not say <\x07>", "profiles": None}


def test_a_thousand_profiles_are_shown_in_lines_of_a_bounded_length() -> None:
    many = {**SAID, "images": {"trees": ["/" + "x" * 1000] * 50, "allowed": [], "fromGateway": True}}
    many["limits"] = {}
    many["profiles"] = [
        {"name": f"p{n}", "youMay": True, "template": {}, "attributes": ["A" * 500]} for n in range(1000)
    ]
    lines = str(Profiles(Offer.model_validate(many))).splitlines()
    assert len(lines) == 1003
    assert max(map(len, lines)) < 3000
    assert lines[-1].endswith("and 30 more.")
