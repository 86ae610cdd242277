"""The manner of every model here: camelCase outside, snake_case inside, frozen, lenient about unknown fields.

Lenient, so that an operator that was rolled back still reads the objects of a newer one.
"""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel


class ApiModel(BaseModel):
    """Base of all models of this package."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # which may be somebody's token
    )

    def manifest(self) -> dict[str, Any]:
        """As it is written in a manifest: camelCase, only what was set, without nulls."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)


def complaint(error: ValidationError) -> tuple[list[str], str]:
    """Where the first thing is that is wrong, and the rule that it breaks; never the value that is there."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    location, rule = first["loc"], first["msg"].removeprefix("Value error, ")
    if location[-1:] == ("[key]",):  # before it is the name, and that is no string
        location, rule = location[:-2], "names must be strings"
    return [shown_name(part) for part in location], rule


def shown_name(name: object) -> str:
    """A name that somebody wrote, fit for a message: one line, short, and no value behind a "="."""
    text = str(name).partition("=")[0]
    return "".join(character if character.isprintable() else "?" for character in text[:40])


def shown_names(names: Iterable[object]) -> str:
    """`'A', 'B' and 3 more`."""
    quoted = [f"'{shown_name(name)}'" for name in names]
    return ", ".join(quoted[:5]) + (f" and {len(quoted) - 5} more" if len(quoted) > 5 else "")
