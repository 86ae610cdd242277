"""What goes over the wire: the plugin as source text, which any Python and any Dask on a worker can unpack.

Compiled code would be good for the notebook's own version of Python alone. On another one a worker would fail
to unpack it, write what it had got into its log, the credentials among it, and so would each worker after it.
"""

import inspect
import pickle
from collections.abc import Mapping
from typing import Any, Final

from htcdaskgateway._credentials import worker_plugin

_PROTOCOL: Final = 4  # Python 3.8 reads it
_UNPACK: Final = (
    "(lambda space: (exec(source, space), space['CredentialFiles'](contents))[1])({'__name__': name})"
)


def packed(contents: Mapping[str, bytes]) -> bytes:
    """A pickle of the worker's plugin. `contents` of the file that each environment variable shall name."""
    return pickle.dumps(_Parcel(contents), protocol=_PROTOCOL)


class _Parcel:
    """Is the plugin once it is unpacked."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self._names = {
            "source": inspect.getsource(worker_plugin),
            "contents": dict(contents),
            "name": "htcdask_credentials",
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (_UNPACK, self._names)
