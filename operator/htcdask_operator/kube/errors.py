"""What can go wrong with the Kubernetes API, as the rest of the operator sees it."""

from __future__ import annotations


class KubeError(Exception):
    """The API server could not be asked, or said no. The message says what was asked and why it failed.

    `status` is the HTTP status, if there was one; 409 is a conflict: somebody else wrote meanwhile, so read
    again and decide again. `named`: the API server's own words are about the very object that was asked for.
    `unserved`: a 404 in nobody's words, as of a resource whose CRD is not there, or of a proxy.
    """

    def __init__(
        self, what: str, why: str, status: int | None = None, *, named: bool = False, unserved: bool = False
    ) -> None:
        super().__init__(f"{what}: {why}")
        self.status = status
        self.named = named
        self.unserved = unserved

    @property
    def gone(self) -> bool:
        """The object is not there, or another one has its name now (the uid differs).

        A 404 may also mean that its whole resource is not served, or that its namespace is not there.
        """
        return self.status == 404 and self.named
