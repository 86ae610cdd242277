"""What HTCondor replaces in a text of a submit description, whatever quotes it.

Called by `expressions`, and by the operator for each text that it quotes: one `$` is escaped, as `$(DOLLAR)`,
and arrives as it was written, but HTCondor looks twice at some places.
"""

import re
from typing import Final

_NESTED_MACRO: Final = re.compile(r"\$[A-Za-z_]*\([^)]*\$")


def complaint(text: str) -> str | None:
    """What HTCondor would make something else of, although each `$` is escaped (`'$$', which …`)."""
    if "$$" in text:
        return "'$$', which HTCondor would replace by something of the execute node's"
    if "$(dollar)" in text.lower():
        return "'$(DOLLAR)', which HTCondor would replace by '$': write '$' alone"
    if _NESTED_MACRO.search(text):
        return "a '$' inside of what begins like a macro, '$(' or '$NAME(', which HTCondor would replace"
    return None
