"""dask-gateway's configuration, put together as its chart would from the same values. Only site.py calls it.

The chart writes its own lines first and then each entry of `gateway.extraConfig`, in the order of their keys.
So what is proven here about `charts/htcdask/gateway-values.yaml` holds for a user of the chart.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from playground import paths

MANIFESTS = paths.SOURCE / "manifests"
# As in `helm install -f site.yaml -f gateway-values.yaml`: what the site has, and what we add.
VALUES = (
    MANIFESTS / "image-customization.yaml",
    paths.REPOSITORY / "charts" / "htcdask" / "gateway-values.yaml",
)
# The names that users' snippets and the option's own default have for an image such as htcdask/dask:dev.
PUBLIC_IMAGES = ("docker.io/daskgateway/dask-gateway:latest", "docker.io/ncsa/dask-public-health:latest")


def configuration(values: tuple[Path, ...] = VALUES) -> str:
    """The text of dask_gateway_config.py."""
    extra: dict[str, str] = {}
    for file in values:
        extra |= yaml.safe_load(file.read_text(encoding="utf-8"))["gateway"]["extraConfig"]
    parts = [(MANIFESTS / "gateway-config.in").read_text(encoding="utf-8")]
    parts += [f"# From gateway.extraConfig.{key}\n{extra[key]}" for key in sorted(extra)]
    return "\n".join(parts)
