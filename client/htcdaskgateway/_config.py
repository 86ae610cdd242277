"""The client's own configuration: its defaults, and one typed reader.

Imported once by the package, so that `htcdask.*` has defaults beside dask-gateway's `gateway.*`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

import dask
import yaml
from dask.utils import parse_timedelta

_DEFAULTS: dict[str, Any] = yaml.safe_load(files(__package__).joinpath("htcdaskgateway.yaml").read_text())

dask.config.update_defaults(_DEFAULTS)


def _text(section: Mapping[str, Any], key: str) -> str | None:
    value = dask.config.get(key, None, config=section)
    if value is not None and not isinstance(value, str):
        raise TypeError(f"configuration htcdask.{key} must be a string, got {value!r}")
    return value or None


def _time(section: Mapping[str, Any], key: str) -> float | None:
    """Seconds; None for a time without end."""
    value = dask.config.get(key, None, config=section)
    try:
        return None if value is None else float(parse_timedelta(value))
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"configuration htcdask.{key} must be a time such as '60s', or null for none, got {value!r:.80}"
        ) from None


@dataclass(frozen=True)
class ClientConfig:
    """What a site may set; read anew for each cluster, as dask's own settings are."""

    pool_api: Literal["gateway", "kubernetes"]
    namespace: str | None
    image_registry: str | None
    apptainer_image: str | None
    image_path_template: str
    status_interval: float
    cluster_start_timeout: float | None

    @classmethod
    def read(cls) -> "ClientConfig":
        """The present configuration; ValueError or TypeError names the key that is wrong."""
        section: Mapping[str, Any] = dask.config.get("htcdask")
        pool_api = _text(section, "pool-api")
        if pool_api not in ("gateway", "kubernetes"):
            raise ValueError(
                f"configuration htcdask.pool-api must be 'gateway' or 'kubernetes', got {pool_api!r}"
            )
        template = _text(section, "image-path-template") or ""
        if "{name}" not in template:
            raise ValueError(
                "configuration htcdask.image-path-template must hold {name}, and may hold {registry}, "
                f"got {template!r}"
            )
        return cls(
            pool_api="kubernetes" if pool_api == "kubernetes" else "gateway",
            namespace=_text(section, "namespace"),
            image_registry=_text(section, "image-registry"),
            apptainer_image=_text(section, "apptainer-image"),
            image_path_template=template,
            status_interval=parse_timedelta(dask.config.get("status-interval", config=section)),
            cluster_start_timeout=_time(section, "cluster-start-timeout"),
        )
