"""What can go wrong with the Kubernetes API, as the rest of the operator sees it."""

from __future__ import annotations


class KubeError(Exception):
    """The API server could not be asked, or said no. The message says what was asked and why it failed."""

    def __init__(self, what: str, why: str, status: int | None = None) -> None:
        super().__init__(f"{what}: {why}")
        self.status = status

    @property
    def gone(self) -> bool:
        """The object is not there, or another one has its name now (the uid differs)."""
        return self.status in (404, 409)
