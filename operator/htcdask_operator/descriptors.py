"""Whether an error is that this process has no file descriptor left: then nobody else is to blame.

Asked by whatever else would tell people that HTCondor, Kubernetes or a scheduler cannot be reached.
"""

from __future__ import annotations

import errno
import resource


def exhausted(error: BaseException | None) -> str | None:
    """What to say, if that is the cause of `error`; None if it is not."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            whose = f"this process may have {most}" if error.errno == errno.EMFILE else "of the whole node"
            return f"the operator itself has no file descriptor left ({whose}): a fault of its own, here"
        error = error.__cause__
    return None
