"""The manner of every model here: camelCase outside, snake_case inside, frozen, lenient about unknown fields.

Lenient, so that an operator that was rolled back still reads the objects of a newer one.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class ApiModel(BaseModel):
    """Base of all models of this package."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    def manifest(self) -> dict[str, Any]:
        """As it is written in a manifest: camelCase, only what was set, without nulls."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
