"""One access point by htcondor2, which only this module, `collector` and `submit_language` import.

Runs in the agent's process (`__main__`). Knows nothing of HTCDask: the parent says which jobs and which
attributes. Plain values in and out; raises `errors.CondorError`. Calls block, hold the GIL, and some never
return: the parent has the deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import classad2
import htcondor2

from htcdask_operator.condor.agent import (
    analysis,
    collector,
    error_texts,
    fair_share,
    negotiator,
    refusals,
    sandbox,
    submit_language,
)
from htcdask_operator.condor.agent.classads import Plain, longest_reason, plain
from htcdask_operator.condor.errors import (
    CondorError,
    CondorRefused,
    CondorUnreachable,
    RuleRefused,
    SubmitRefused,
    SubmitTooLate,
)

T = TypeVar("T")

_STALE: Final = ("SECMAN:2004", "SECMAN:2007")  # the schedd was restarted: a new session is needed
_REASON_CODE: Final = 1
_FILES: Final = "SpooledOutputFiles"
_NOT_DYNAMIC: Final = "DynamicSlot =!= true"  # those are parts of a partitionable one
# ENOENT, of which the schedd tells, and EFBIG, which is our own limit.
_NO_SUCH_OUTPUT: Final = ("(errno 2)", "(errno 27)")
_LONGEST_USER: Final = 256  # as long as a pool's status may remember


class Schedd:
    """The schedd `name` that the collector at `address` knows; several have commas between."""

    def __init__(self, address: str, name: str, scratch: Path, clock: Callable[[], float]) -> None:
        self._address = address
        self._name = name
        self._scratch = scratch
        self._clock = clock
        self._ad: Any = None

    def whoami(self) -> str:
        """Who the schedd says we are when we may write."""

        def ask(_: Any) -> str:
            answer = htcondor2.ping(self._located(), "WRITE")
            return str(answer.get("MyRemoteUserName") or "")

        user = self._do(ask)
        known = "@" in user and user.isprintable() and len(user) <= _LONGEST_USER
        if not known or user.startswith("unauthenticated"):
            raise CondorRefused(f"the schedd {self._name} does not know who the operator's token stands for")
        return user

    def time(self) -> int | None:
        """The schedd's own time; an old one does not tell."""
        return self._summary("false", "ServerTime")

    def query(self, constraint: str, attributes: list[str]) -> list[dict[str, Plain]]:
        """The ads of all jobs that match."""
        found = self._do(lambda schedd: schedd.query(constraint, attributes))
        longest = longest_reason(len(found))
        return [plain(ad, attributes, longest) for ad in found]

    def submit(
        self, description: Mapping[str, str], items: Sequence[Mapping[str, str]], valid_until: float
    ) -> list[str]:
        """One job for each item, in one transaction."""
        made = submit_language.parsed({"initialdir": "/", **description})
        result = self._submit(
            valid_until, lambda schedd: schedd.submit(made, itemdata=iter(items), spool=False)
        )
        return _ids(result)

    def spool(self, description: Mapping[str, str], name: str, content: str, valid_until: float) -> str:
        """One job, and its one input file."""
        (job,) = self.spool_each(description, None, name, content, valid_until)
        return job

    def spool_each(
        self,
        description: Mapping[str, str],
        items: Sequence[Mapping[str, str]] | None,
        name: str,
        content: str,
        valid_until: float,
    ) -> list[str]:
        """One job for each item, in one transaction, then the same file for each of them. None: one job."""

        def submit(schedd: Any) -> Any:
            jobs = {"count": 1} if items is None else {"itemdata": iter(items)}
            return schedd.submit(made, spool=True, **jobs)

        with sandbox.outgoing(self._scratch, name, content) as file:
            where = {"initialdir": str(file.parent), "transfer_input_files": str(file)}
            made = submit_language.parsed({**description, **where})
            result = self._submit(valid_until, submit)
            self._do(lambda schedd: schedd.spool(result))
        return _ids(result)

    def act(self, action: str, constraint: str, reason: str) -> dict[str, int]:
        """Hold, Remove or RemoveX; what the schedd says became of the jobs that match."""
        # A plain string would be dropped without a word.
        cause = (reason, _REASON_CODE)
        return self._totals(
            lambda schedd: schedd.act(getattr(htcondor2.JobAction, action), constraint, reason=cause), action
        )

    def edit(self, constraint: str, attribute: str, value: str) -> None:
        """Set the attribute of all jobs that match; there may be none."""
        if self.query(constraint, ["ClusterId"]):
            self._do(lambda schedd: schedd.edit(constraint, attribute, value))

    def retrieve(self, constraint: str, files: Mapping[str, str]) -> dict[str, str]:
        """The ends of these files (key -> name) of the one job's directory, where there is anything in them.

        The schedd sends the files that the job's ad names, and of everything else (the workers' bundle is
        there, with the key) nothing: the list is empty but for the moment of the question.
        """
        if not self.query(constraint, ["ClusterId"]):
            return {}
        with sandbox.incoming(self._scratch) as folder:
            try:
                self._set(constraint, _FILES, ",".join(sorted(set(files.values()))))
                # Files are written to where the job was submitted from, which may have been another machine.
                self._set(constraint, "SUBMIT_Iwd", str(folder))
                self._fetch(constraint)
            finally:
                self._set(constraint, _FILES, "")
            tails = {key: sandbox.tail(folder / name) for key, name in files.items()}
        return {key: text for key, text in tails.items() if text}

    def analyze(self, constraint: str) -> dict[str, Any] | None:
        """How the pool's slots look to the one job that matches; None: it is not there."""
        found = self._do(lambda schedd: schedd.query(constraint, [], limit=1))
        if not found:
            return None
        job = found[0]
        slots = self._advertised("Startd", _NOT_DYNAMIC, analysis.wanted_of_slots(job))
        told = analysis.analyze(job, slots)
        fit = told["fit"]
        some = " || ".join(f"Name == {classad2.quote(name)}" for name in refusals.some(fit))
        whole = self._advertised("Startd", some)[: refusals.LOOKED_AT] if some else []
        asked = refusals.refusals(job, whole)
        broken = sorted([*told["broken"], *asked["broken"]])
        standing = fair_share.standing(job, self._advertised, lambda jobs: self._summary(jobs, "Idle"))
        matching = negotiator.work(self._negotiators(), slots)
        bad = {"broken": len(broken), "broken_slot": broken[0] if broken else None}
        return {**told, **asked, **standing, **matching, **bad, "fit": len(fit)}

    def _negotiators(self) -> list[Any] | None:
        """None: the collector does not say."""
        try:
            return self._advertised("Negotiator", "true", negotiator.ATTRIBUTES)
        except CondorError:
            return None

    def _summary(self, constraint: str, attribute: str) -> int | None:
        """What the schedd says of all jobs that match; an old one may not."""
        summary = htcondor2.QueryOpt.SummaryOnly
        for ad in self._do(lambda schedd: schedd.query(constraint, [attribute], opts=summary)):
            found = plain(ad, [attribute]).get(attribute)
            if type(found) is int:
                return found
        return None

    def _advertised(self, kind: str, constraint: str, attributes: Sequence[str] = ()) -> list[Any]:
        return collector.advertised(self._address, kind, constraint, attributes)

    def _set(self, constraint: str, attribute: str, text: str) -> None:
        self._do(lambda schedd: schedd.edit(constraint, attribute, classad2.quote(text)))

    def _fetch(self, constraint: str) -> None:
        """A file that is not there, or too large, is as good as empty; the others come all the same."""

        def retrieve(schedd: Any) -> None:
            try:
                schedd.retrieve(constraint)
            except htcondor2.HTCondorException as error:
                if not any(mark in error_texts.of(error) for mark in _NO_SUCH_OUTPUT):
                    raise

        self._do(retrieve)

    def _submit(self, valid_until: float, submit: Callable[[Any], T]) -> T:
        """The schedd has been found by then: between the look at the clock and the call is nothing."""

        def in_time(schedd: Any) -> T:
            late = self._clock() - valid_until
            if late >= 0:
                raise SubmitTooLate(
                    f"nothing was submitted to {self._name}: the operator's lease has been over for "
                    f"{late:.1f} s, and another operator may be at work"
                )
            return submit(schedd)

        return self._do(in_time, SubmitRefused)

    def _totals(self, call: Callable[[Any], Any], action: str) -> dict[str, int]:
        totals = {key: int(value) for key, value in dict(self._do(call)).items()}
        denied = totals.get("TotalPermissionDenied", 0)
        if denied:
            raise CondorRefused(
                f"the schedd {self._name} refused {action} for {denied} jobs: they belong to another user, "
                "or its configuration does not let them change"
            )
        if totals.get("TotalError", 0):
            raise CondorError(f"the schedd {self._name} failed to {action} {totals['TotalError']} jobs")
        return totals

    def _located(self) -> Any:
        if self._ad is None:
            self._ad = self._locate()
        return self._ad

    def _locate(self) -> Any:
        """By one question: asked for one schedd and then for all, a collector may have learned meanwhile."""
        known = collector.schedds(self._address)
        by_name = {str(ad.get("Name")).lower(): ad for ad in known}
        # A schedd has its host's full name unless somebody gave it another, with an @.
        name = self._name.lower()
        found = [name] if name in by_name else [full for full in by_name if full.partition(".")[0] == name]
        if len(found) == 1:
            return by_name[found[0]]
        others = ", ".join(sorted(by_name)[:10])
        raise CondorUnreachable(
            f"the collector {self._address} knows {'several schedds' if found else 'no schedd'} named "
            f"{self._name!r}; it knows{f': {others}' if others else ' none at all now: is it running?'}"
        )

    def _do(self, call: Callable[[Any], T], otherwise: type[CondorError] = CondorError) -> T:
        """Call with the schedd; after a restart of the schedd, twice."""
        for last in (False, True):
            try:
                return call(htcondor2.Schedd(self._located()))
            except (htcondor2.HTCondorException, UnicodeDecodeError) as error:
                self._ad = None
                text = error_texts.of(error)
                refusal = error_texts.refusal(text, self._name)
                if refusal is not None:
                    by_rule = otherwise is SubmitRefused and error_texts.is_of_rule(text)
                    raise (RuleRefused if by_rule else otherwise)(refusal) from error
                if error_texts.is_open(text):
                    doubt = f"the schedd {self._name} did not say whether it took a submit ({text})"
                    raise CondorUnreachable(f"{doubt}: its queue will show") from error
                if not last and any(mark in text for mark in _STALE):
                    continue
                raise self._why(text, otherwise) from error
        raise AssertionError

    def _why(self, text: str, otherwise: type[CondorError]) -> CondorError:
        """What an HTCondor error means: many say no more than that something failed."""
        if error_texts.is_broken_off(text):
            return CondorError(f"the schedd {self._name} broke off a submit, and gave no reason ({text})")
        if not error_texts.has_cause(text):
            try:
                if self._may("WRITE"):
                    return otherwise(f"the schedd {self._name} says: {text}")
                refused = self._may("READ")
            except CondorError as error:
                return error
        else:
            refused = error_texts.denies(text)
        if refused:
            return CondorRefused(
                f"the schedd {self._name} does not accept the operator's token ({text}): it must be signed "
                "by this pool, not be expired, and be good for READ and WRITE"
            )
        if "Failed to connect" in text or "CEDAR" in text or "SECMAN:2007" in text or "start command" in text:
            return CondorUnreachable(f"no connection to the schedd {self._name}: {text}")
        return otherwise(f"the schedd {self._name} says: {text}")

    def _may(self, permission: str) -> bool:
        try:
            htcondor2.ping(self._located(), permission)
        except htcondor2.HTCondorException:
            return False
        return True


def _ids(result: Any) -> list[str]:
    first = result.first_proc()
    return [f"{result.cluster()}.{proc}" for proc in range(first, first + result.num_procs())]
