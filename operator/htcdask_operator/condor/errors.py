"""What goes wrong between the operator and HTCondor: each text says what happened, and what to do.

Raised by everything behind `port.Condor`; the shell turns them into `Unseen` and conditions. Parent and child
of the agent both know them: `KINDS` names each on the wire.
"""

from __future__ import annotations


class CondorError(Exception):
    """HTCondor could not be asked, or said no. Nothing may be concluded about the queue."""


class CondorUnreachable(CondorError):  # noqa: N818
    """No connection to the collector or to the schedd, or no such schedd. Ask again later."""


class CondorTimeout(CondorUnreachable):
    """The deadline passed; the agent was restarted. What was asked may or may not have been done."""


class CondorNotAsked(CondorUnreachable):
    """What came before had no answer, and this was not sent: nothing was done. Never on the wire."""


class CondorRefused(CondorError):  # noqa: N818
    """The access point does not let us: the token is missing, unreadable, expired, or not good for this."""


class SubmitRefused(CondorError):  # noqa: N818
    """This description cannot be submitted; nothing was. Asking again with the same one is of no use."""


class RuleRefused(SubmitRefused):
    """A rule of the access point refuses this job, in the words that come first. Others may pass."""


class SubmitTooLate(CondorError):  # noqa: N818
    """The operator's own lease is over, another one may be at work: nothing was submitted. It will end."""


KINDS: dict[str, type[CondorError]] = {
    error.__name__: error
    for error in (
        CondorError,
        CondorUnreachable,
        CondorTimeout,
        CondorRefused,
        SubmitRefused,
        RuleRefused,
        SubmitTooLate,
    )
}
