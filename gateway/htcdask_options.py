"""The cluster option `worker_backend`, beside the site's own.

Used by `htcdask_gateway`, and pasted beside it into the API server's configuration.
"""

from typing import Any

from dask_gateway_server.options import Options, Select

Json = dict[str, Any]
WORKER_BACKEND_OPTION = "worker_backend"
WORKER_BACKENDS = KUBERNETES, HTCONDOR = "kubernetes", "htcondor"


class WorkerBackendField(Select):  # type: ignore[misc]
    """The option `worker_backend`; a wrong value is answered with the choices."""

    def validate(self, x: Any) -> str:
        if not isinstance(x, str) or x not in self.options:
            choices = " or ".join(repr(choice) for choice in self.options)
            raise ValueError(f"{self.field} must be {choices}, got {x!r}")
        return x


class WithWorkerBackend(Options):  # type: ignore[misc]
    """The site's own options and `worker_backend`, which the site's code never gets to see."""

    def __init__(self, site: Any, default: str) -> None:
        self.site, field = site, WORKER_BACKEND_OPTION
        super().__init__(WorkerBackendField(field, WORKER_BACKENDS, default=default, label="Worker backend"))

    def get_specification(self) -> list[Json]:
        return [*self.site.get_specification(), *super().get_specification()]

    def parse_options(self, request: Any) -> Json:
        ours = {}
        if isinstance(request, dict) and WORKER_BACKEND_OPTION in request:
            request = dict(request)
            ours = {WORKER_BACKEND_OPTION: request.pop(WORKER_BACKEND_OPTION)}
        return {**self.site.parse_options(request), **super().parse_options(ours)}

    def get_configuration(self, options: Json, user: Any) -> Any:
        theirs = {field: value for field, value in options.items() if field != WORKER_BACKEND_OPTION}
        return self.site.get_configuration(theirs, user)
