"""dask-gateway's configuration and Traefik's resources, as the gateway's chart has them. site.py calls it.

The chart writes its own lines first and then each entry of `gateway.extraConfig`, in the order of their keys.
So what is proven here about `charts/htcdask/gateway-values.yaml` holds for a user of the chart.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from pathlib import Path

import yaml

from playground.build import paths

MANIFESTS = paths.SOURCE / "site" / "manifests"
# As in `helm install -f site.yaml -f gateway-values.yaml`: what the site has, and what we add.
VALUES = (
    MANIFESTS / "image-customization.yaml",
    MANIFESTS / "idle-timeout.yaml",
    paths.REPOSITORY / "charts" / "htcdask" / "gateway-values.yaml",
)
# The names that users' snippets and the option's own default have for an image such as htcdask/dask:dev.
PUBLIC_IMAGES = ("docker.io/daskgateway/dask-gateway:latest", "docker.io/ncsa/dask-public-health:latest")

# Traefik watches all of its kinds, and serves nothing while one of them is not known.
_TRAEFIK_KINDS = (
    "IngressRoute",
    "IngressRouteTCP",
    "IngressRouteUDP",
    "Middleware",
    "MiddlewareTCP",
    "ServersTransport",
    "ServersTransportTCP",
    "TLSOption",
    "TLSStore",
    "TraefikService",
)


def configuration(values: tuple[Path, ...] = VALUES) -> str:
    """The text of dask_gateway_config.py."""
    extra: dict[str, str] = {}
    for file in values:
        extra |= yaml.safe_load(file.read_text(encoding="utf-8"))["gateway"]["extraConfig"]
    parts = [(MANIFESTS / "gateway-config.in").read_text(encoding="utf-8")]
    parts += [f"# From gateway.extraConfig.{key}\n{extra[key]}" for key in sorted(extra)]
    return "\n".join(parts)


def traefik_crds() -> Iterator[str]:
    """The resources that Traefik is configured by."""
    template = string.Template((MANIFESTS / "traefik-crd.in").read_text(encoding="utf-8"))
    for kind in _TRAEFIK_KINDS:
        singular = kind.lower()
        yield template.substitute(kind=kind, singular=singular, plural=f"{singular}s")
