"""What one call of `submit` sends to the gateway: the worker backend, and the gateway's own cluster options.

Called by the client in two steps. `Submission.read` finds whatever is wrong with the user's words;
`options_for` finds what this gateway does not offer. Both happen before the cluster is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from htcdask_api import Template
from htcdask_api.names import WORKER_BACKEND_HTCONDOR, WORKER_BACKEND_KUBERNETES, WORKER_BACKEND_OPTION
from htcdaskgateway._config import ClientConfig
from htcdaskgateway._errors import extension_missing, option_missing
from htcdaskgateway._worker_pools.keywords import KEYWORDS, Request, is_the_sites_own, read_keywords
from htcdaskgateway._worker_pools.sizes import number


@dataclass(frozen=True, repr=False)
class Submission:
    """A call of `submit` whose keywords have been read."""

    backend: Any
    _keywords: Mapping[str, Any]
    _options: Mapping[str, Any]
    _request: Request
    # The scheduler's, where it is another than the gateway's default.
    image: str | None

    @classmethod
    def read(
        cls,
        cluster_options: Any,
        given: Mapping[str, Any],
        offered: Mapping[str, Any],
        config: ClientConfig,
    ) -> "Submission":
        """From `submit`'s arguments, and the gateway's options and their defaults.

        ValueError or TypeError names the keyword that is wrong.
        """
        # Anything else than a mapping is refused by dask-gateway itself.
        chosen = dict(cluster_options) if isinstance(cluster_options, Mapping) else {}
        keywords = {
            name: value
            for name, value in given.items()
            if name in KEYWORDS and not is_the_sites_own(name, value, offered)
        }
        options = {name: number(value) for name, value in given.items() if name not in keywords}
        said = {**chosen, **options}
        backend = said.get(WORKER_BACKEND_OPTION, WORKER_BACKEND_HTCONDOR)
        if backend == WORKER_BACKEND_HTCONDOR:
            of_worker = said if keywords.get("profile") is None else _touched(said, offered)
            request = read_keywords(keywords, of_worker, config)
        else:  # whatever our words have in common with the gateway's options, they are the gateway's here
            given = {name: number(value) for name, value in keywords.items() if value is not None}
            request = Request(template=Template(), options=given)
        image = keywords.get("image") or said.get("image")
        chosen_image = image if isinstance(image, str) and image != offered.get("image") else None
        return cls(backend, keywords, options, request, image=chosen_image)

    @property
    def is_htcondor(self) -> bool:
        """Whether the cluster gets a worker pool."""
        return bool(self.backend == WORKER_BACKEND_HTCONDOR)

    @property
    def template(self) -> Template:
        """What a worker of that pool is."""
        return self._request.template

    def options_for(self, offered: Mapping[str, Any], address: str) -> dict[str, Any]:
        """The cluster options to send, given those that the gateway offers and their defaults."""
        options = {**self._options, **self._request.options_for(offered)}
        options.pop(WORKER_BACKEND_OPTION, None)
        if WORKER_BACKEND_OPTION in offered:
            options[WORKER_BACKEND_OPTION] = self.backend
        elif self.backend != WORKER_BACKEND_KUBERNETES:
            raise extension_missing(address, WORKER_BACKEND_OPTION)
        for name in options:
            if name not in offered:
                raise option_missing(address, name, options[name], list(offered), KEYWORDS)
        if not self.is_htcondor:
            self._refuse_htcondor_keywords(options)
        return options

    def _refuse_htcondor_keywords(self, sent: Mapping[str, Any]) -> None:
        for name, value in self._keywords.items():
            if value is not None and name not in sent:
                raise ValueError(
                    f"{name} is for HTCondor workers, and {WORKER_BACKEND_OPTION} is {self.backend!r}"
                )


def _touched(said: Mapping[str, Any], offered: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is the gateway's default anyway: that is no word against a profile."""
    return {name: value for name, value in said.items() if name not in offered or offered[name] != value}
