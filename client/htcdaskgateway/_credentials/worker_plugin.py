"""What writes the credentials on a worker. Sent to it as code: there is no HTCDask on execute nodes.

So this module imports distributed and the standard library only, and speaks to whatever version is there.
"""

import contextlib
import os
from pathlib import Path
from typing import Any

from distributed.diagnostics.plugin import WorkerPlugin

_ENDING = ("closing", "closed", "failed")  # distributed's words for a worker that is at its end


class CredentialFiles(WorkerPlugin):  # type: ignore[misc]
    """Files in the worker's own folder, and the environment variables that name them."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        """`contents` of the file that each environment variable shall name."""
        self._contents = contents

    def setup(self, worker: Any) -> None:
        """Write them, in the place of older ones: a task that opens one at that moment finds it whole."""
        for variable, content in self._contents.items():
            path = self._path(worker, variable)
            draft = path.with_name(f"{path.name}.new")
            draft.unlink(missing_ok=True)
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            draft.replace(path)
            os.environ[variable] = str(path)

    def teardown(self, worker: Any) -> None:
        """At the worker's end they go. Dask also calls this before a renewal: tasks need them then."""
        if worker.status.name not in _ENDING:
            return
        for variable in self._contents:
            path = self._path(worker, variable)
            if os.environ.get(variable) == str(path):
                del os.environ[variable]
            with contextlib.suppress(OSError):  # the folder may have gone before it
                path.unlink()

    def _path(self, worker: Any, variable: str) -> Path:
        return Path(worker.local_directory) / f"htcdask-{variable.lower()}"
