"""The option `worker_backend` beside every way in which a site can have options of its own."""

from pathlib import Path
from typing import Any

import pytest
from dask_gateway import Gateway
from dask_gateway.auth import BasicAuth
from dask_gateway_server.app import DaskGateway
from dask_gateway_server.backends.base import PublicException
from dask_gateway_server.models import User

from tests.gateway.servers import IMAGE_CUSTOMIZATION, OURS, ROOT, Site, configuration, extra_config

FIELD = "from dask_gateway_server.options import Options, String\nimage = String('image', default='site:1')\n"
STRICT = """
def handler(options):
    if list(options) != ["image"]:
        raise ValueError(f"unknown options {list(options)}")
    return {"image": options.image}
"""
# What a site may write; each offers one option, `image`, with the default site:1.
SITES = {
    "plain": "c.Backend.cluster_options = Options(image)",
    "strict handler": STRICT + "c.Backend.cluster_options = Options(image, handler=handler)",
    "handler with user": """
def handler(options, user):
    assert user.name == "ada" and list(options) == ["image"]
    return {"image": options["image"]}
c.Backend.cluster_options = Options(image, handler=handler)
""",
    "callable": STRICT + "c.Backend.cluster_options = lambda user: Options(image, handler=handler)",
    "async callable": STRICT
    + """
async def options(user):
    assert user.name == "ada"
    return Options(image, handler=handler)
c.Backend.cluster_options = options
""",
    "options class of its own": """
class Mine(Options):
    def get_specification(self):
        return [image.json_spec()]
    def parse_options(self, request):
        assert list(request) in ([], ["image"]), f"Unknown fields {sorted(request)}"
        return {"image": "site:1", **request}
    def get_configuration(self, options, user):
        assert list(options) == ["image"]
        return dict(options)
c.Backend.cluster_options = Mine()
""",
    "backend class of its own": STRICT
    + """
from dask_gateway_server.backends.kubernetes import backend as upstream
class SiteBackend(upstream.KubeBackend):
    async def get_cluster_options(self, user):
        return Options(image, handler=handler)
c.DaskGateway.backend_class = SiteBackend
""",
}
ADA = User("ada")


def backend_of(tmp_path: Path, *site: str) -> Any:
    """The real backend under this configuration of a site, and ours after it."""
    path = tmp_path / "dask_gateway_config.py"
    path.write_text(
        configuration({**{f"site-{i}": text for i, text in enumerate(site)}, **extra_config(OURS)})
    )
    gateway = DaskGateway()
    gateway.initialize(["--config", str(path)])
    return gateway.backend


@pytest.fixture(params=SITES)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return backend_of(tmp_path, FIELD + SITES[request.param])


async def test_is_listed_after_the_sites_own(backend: Any) -> None:
    for _ in range(2):  # asking changes nothing
        specification = (await backend.get_cluster_options(ADA)).get_specification()
        assert [(field["field"], field["default"]) for field in specification] == [
            ("image", "site:1"),
            ("worker_backend", "kubernetes"),
        ]
        assert specification[1]["spec"] == {"type": "select", "options": ["kubernetes", "htcondor"]}


@pytest.mark.parametrize("asked", [{}, {"image": "mine:2"}], ids=["no image", "image"])
@pytest.mark.parametrize("chosen", [None, "kubernetes", "htcondor"])
async def test_is_kept_with_the_sites_own(backend: Any, asked: dict[str, str], chosen: str | None) -> None:
    request = {**asked, **({"worker_backend": chosen} if chosen else {})}
    before = dict(request)
    options, config = await backend.process_cluster_options(ADA, request)
    image = asked.get("image", "site:1")
    assert options == {"image": image, "worker_backend": chosen or "kubernetes"}
    assert config.image == image
    assert request == before
    spec = backend.make_cluster_object("ada", options, config)["spec"]
    assert spec["options"]["worker_backend"] == (chosen or "kubernetes")


@pytest.mark.parametrize("wrong", ["x", "", "HTCondor", None, 4, True, ["htcondor"], {}])
async def test_a_wrong_value_is_answered_with_the_choices(backend: Any, wrong: object) -> None:
    with pytest.raises(PublicException) as refusal:
        await backend.process_cluster_options(ADA, {"worker_backend": wrong})
    assert str(refusal.value) == f"worker_backend must be 'kubernetes' or 'htcondor', got {wrong!r}"


@pytest.mark.parametrize("extra", [{}, {"worker_backend": "htcondor"}], ids=["alone", "with ours"])
async def test_an_unknown_option_is_refused_as_usual(backend: Any, extra: dict[str, str]) -> None:
    with pytest.raises(PublicException, match=r"^Unknown fields \['colour'\]$"):
        await backend.process_cluster_options(ADA, {"colour": "red", **extra})


async def test_a_gateway_without_options_gets_this_one(tmp_path: Path) -> None:
    backend = backend_of(tmp_path)
    options, _ = await backend.process_cluster_options(ADA, {"worker_backend": "htcondor"})
    assert options == {"worker_backend": "htcondor"}
    with pytest.raises(PublicException, match=r"Unknown fields \['image'\]"):
        await backend.process_cluster_options(ADA, {"image": "mine:2"})
    with pytest.raises(PublicException, match="options must be a dict, got 'list'"):
        await backend.process_cluster_options(ADA, ["worker_backend"])


async def test_a_site_chooses_the_default(tmp_path: Path) -> None:
    backend = backend_of(tmp_path, "c.HTCDaskBackend.default_worker_backend = 'htcondor'")
    options, _ = await backend.process_cluster_options(ADA, {})
    assert options == {"worker_backend": "htcondor"}


def test_clusters_that_nobody_ends_are_told_when_to_end_as_the_admin_page_says(site: Site) -> None:
    assert "c.ClusterConfig.idle_timeout = 1800" in (ROOT / "docs/gateway.md").read_text()
    for backend in ("htcondor", "kubernetes"):
        cluster = site.dask_cluster(site.cluster(worker_backend=backend))
        assert cluster["spec"]["config"]["idle_timeout"] == 1800


def test_a_wrong_default_stops_the_server(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        backend_of(tmp_path, "c.HTCDaskBackend.default_worker_backend = 'condor'")
    told = capfd.readouterr().err
    assert "default_worker_backend" in told and "'htcondor'" in told and "'condor'" in told


def test_a_backend_that_is_not_kubernetes_stops_the_server(tmp_path: Path) -> None:
    local = "c.DaskGateway.backend_class = 'dask_gateway_server.backends.local.LocalBackend'"
    with pytest.raises((SystemExit, ValueError)):
        backend_of(tmp_path, local)


def test_the_sites_class_and_its_settings_stay(tmp_path: Path) -> None:
    site = FIELD + SITES["backend class of its own"] + "c.SiteBackend.gateway_instance = 'mine'\n"
    backend = backend_of(tmp_path, site)
    assert [cls.__name__ for cls in type(backend).__mro__[:5]] == [
        *("HTCDaskSiteBackend", "HTCDaskBackend", "WithGroups", "SiteBackend", "KubeBackend")
    ]
    assert backend.gateway_instance == "mine"
    assert backend.label_selector == "gateway.dask.org/instance=mine"


async def test_ncsas_image_customization_works_beside_it(site: Site) -> None:
    assert "image-customization" in extra_config(IMAGE_CUSTOMIZATION)
    async with Gateway(site.api.url, auth=BasicAuth("ada", ""), asynchronous=True) as gateway:
        options = await gateway.cluster_options()
        assert dict(options) == {"image": "daskgateway/dask-gateway:latest", "worker_backend": "kubernetes"}
        options.image, options.worker_backend = "ncsa/dask-public-health:latest", "htcondor"
        spec = site.dask_cluster(await gateway.submit(options))["spec"]
        assert spec["options"] == {"image": "ncsa/dask-public-health:latest", "worker_backend": "htcondor"}
        assert spec["config"]["image"] == "ncsa/dask-public-health:latest"
        assert spec["username"] == "ada"
        # a client that knows nothing of it
        spec = site.dask_cluster(await gateway.submit(image="ncsa/other:1"))["spec"]
        assert spec["options"] == {"image": "ncsa/other:1", "worker_backend": "kubernetes"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"worker_backend": "condor"}, "worker_backend must be 'kubernetes' or 'htcondor', got 'condor'"),
        ({"colour": "red"}, "Unknown fields ['colour']"),
        ({"image": 4}, "image must be a string, got 4"),
    ],
)
async def test_users_get_the_reason(site: Site, options: dict[str, Any], told: str) -> None:
    before = site.kubectl("get", "daskclusters", "-o", "name")
    async with Gateway(site.api.url, auth=BasicAuth("ada", ""), asynchronous=True) as gateway:
        with pytest.raises(ValueError) as refusal:
            await gateway.submit(**options)
    assert str(refusal.value) == told
    assert site.kubectl("get", "daskclusters", "-o", "name") == before
