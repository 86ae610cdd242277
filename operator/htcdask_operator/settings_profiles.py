"""What a site's settings say of one profile. Read by `settings`."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from htcdask_api import classad_tokens
from htcdask_operator.core.policy import ClassAdExpression
from htcdask_operator.settings_types import (
    AttributeName,
    AttributeValue,
    Expression,
    Group,
    Section,
    StrictTemplate,
    Text,
    WorkerBytes,
)


class OutOfMemory(Section):
    """What becomes of a pool whose workers run out of memory: so much may the next ones request."""

    max_memory: WorkerBytes | None = None


class ProfileSettings(Section):
    """What the site's people add to templates that name this profile; ClassAd text is taken as written."""

    template: StrictTemplate = StrictTemplate()
    requirements: Expression | None = None
    rank: Expression | None = None
    accounting_group: Text | None = None
    attributes: dict[AttributeName, AttributeValue] = {}
    max_replicas: Annotated[int, Field(ge=0)] | None = None
    out_of_memory: OutOfMemory = OutOfMemory()
    users: tuple[Text, ...] = ()
    groups: tuple[Group, ...] = ()

    @model_validator(mode="after")
    def _more_memory_is_more(self) -> Self:
        most, own = self.out_of_memory.max_memory, self.template.memory
        if (
            most is not None
            and "memory" in self.template.model_fields_set
            and self.template.memory_bytes > most
        ):
            raise ValueError(f"outOfMemory.maxMemory must not be less than template.memory ({own})")
        return self

    @model_validator(mode="after")
    def _attributes_are_several(self) -> Self:
        """To HTCondor case is nothing in the name of an attribute, and the last one counts."""
        folded: dict[str, str] = {}
        for name in self.attributes:
            other = folded.setdefault(name.casefold(), name)
            if other != name:
                raise ValueError(f"attributes.{other} and attributes.{name} are one to HTCondor: drop one")
        return self

    @model_validator(mode="after")
    def _expressions_stand_alone(self) -> Self:
        """Ten that each name the next one ten times would take HTCondor longer than anybody waits."""
        known = {
            name: its.text for name, its in self.attributes.items() if isinstance(its, ClassAdExpression)
        }
        for name, text in known.items():
            for other in known:
                if other.casefold() in classad_tokens.named(text):
                    raise ValueError(f"attributes.{name} names {other}, which is an expression itself")
        return self
