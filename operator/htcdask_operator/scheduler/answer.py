"""What came over the wire -> where its body begins, if it is one whole plain HTTP answer. Pure.

Called by `http` with all bytes that a server sent before it closed the connection. A Dask scheduler answers
a request of HTTP/1.0 with 200, a Content-Length and the bytes as they are. What else HTTP can do (redirects,
cookies, compression, chunks, trailers, interim answers) is not done for a server that user code can replace.
"""

from __future__ import annotations

from typing import Final

_LARGEST_HEAD: Final = 16 * 2**10


class NotAnAnswerError(ValueError):
    """The bytes are no answer that can be used; the message says why, in words of ours."""


class NotThereError(NotAnAnswerError):
    """The server answers, and has nothing at this address."""


def body(wire: bytes | bytearray) -> int:
    """Where the body begins."""
    _check_status(bytes(wire[:16]))
    end = wire.find(b"\r\n\r\n", 0, _LARGEST_HEAD)
    if end < 0:
        raise NotAnAnswerError("its headers do not end")
    begin, declared = end + 4, None
    for line in bytes(wire[:end]).split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        name, value = name.strip().lower(), value.strip()
        if name in (b"transfer-encoding", b"content-encoding"):
            raise NotAnAnswerError(f"it is encoded ({name.decode()}), as no Dask scheduler answers")
        if name == b"content-length":
            if not (value.isdigit() and len(value) < 12) or declared not in (None, int(value)):
                raise NotAnAnswerError("its Content-Length makes no sense")
            declared = int(value)
    if declared is not None and declared != len(wire) - begin:
        raise NotAnAnswerError(f"it is {len(wire) - begin} bytes long and said to be {declared}")
    return begin


def _check_status(first: bytes) -> None:
    if first == b"":
        raise NotAnAnswerError("the connection was closed without an answer")
    version, _, rest = first.partition(b" ")
    status = rest[:3]
    if not version.startswith(b"HTTP/1.") or not (status.isdigit() and len(status) == 3):
        raise NotAnAnswerError("this is not the answer of a Dask scheduler")
    if status == b"404":
        raise NotThereError("HTTP status 404")
    if status != b"200":
        raise NotAnAnswerError(f"HTTP status {status.decode()}")
