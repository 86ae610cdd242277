"""What may be written as a ClassAd expression, in a pool or a notebook: read here before HTCondor reads it.

Called by the models (client, operator) and by the settings. HTCondor has two parsers: job ads are read in the
old syntax, its libraries read the new one, and the two differ about backslashes, comments and what may follow
an expression. A text that both read alike, to its end, cannot leave the place where it was put. Schedd and
negotiator evaluate it for each job and slot: nothing in it may multiply what that takes, or end them.
"""

import re
from typing import Final

from . import classad_functions
from .expression_reader import Reader
from .expression_tokens import WrongError

LONGEST: Final = 2048
_STRING: Final = r"\x22(?:[^\x00-\x1f\x7f\x22\\]|\\+[^\x00-\x1f\x7f\x22\\]|\\\x22)*\x22"
_NAME: Final = r"\x27[ !#%&(-\[\]-~]+\x27"
PATTERN: Final = (
    rf"^(?:(?:{_STRING}|{_NAME}|[ !%&(-.0-?A-\[\]^_a-~])"
    rf"|/(?:{_STRING}|{_NAME}|[ !%&()+-.0-?A-\[\]^_a-~]))*$"
)
"""As much of the rule as a pattern can say, for the API server."""
BRACKETS_PATTERN: Final = rf"{_STRING}|{_NAME}|[()\[\]{{}}]"
_BETWEEN: Final = rf"(?:{_STRING}|{_NAME}|[^A-Za-z_\x22\x27])*"
_NO_CALL: Final = rf"(?:{_STRING}|{_NAME}|[^A-Za-z0-9_ (\x22\x27]){_BETWEEN}"
_CALLABLE: Final = "|".join(sorted(classad_functions.ALLOWED | {"is", "isnt"}))
FUNCTIONS_PATTERN: Final = (
    rf"^{_BETWEEN}(?:[A-Za-z_][A-Za-z0-9_]*(?: +(?:{_NO_CALL})?|{_NO_CALL})"
    rf"|(?i:{_CALLABLE}) *[(]{_BETWEEN})*(?:[A-Za-z_][A-Za-z0-9_]*)?$"
)
"""That no other function is called, for the API server."""
MACRO_PATTERN: Final = r"(?i)[$][(]dollar[)]|[$][a-z_]*[(][^)]*[$]"

_NESTED_MACRO: Final = re.compile(r"\$[A-Za-z_]*\([^)]*\$")


def complaint(text: str) -> str | None:
    """What keeps `text` from being one ClassAd expression (`it has a "(" that …`); None if it is one."""
    if len(text) > LONGEST:
        return f"it is longer than {LONGEST} characters"
    if not text.strip(" "):
        return "it is empty"
    odd = next((character for character in text if not character.isprintable()), None)
    if odd is not None:
        what = "a line break" if odd in "\n\r" else "a tab" if odd == "\t" else f"the character {odd!a}"
        return f"it has {what}: write it on one line"
    try:
        wrong = macro(text)
        if wrong is not None:
            raise WrongError(f"it has {wrong}")
        Reader(text).read()
    except WrongError as error:
        return str(error)
    return None


def macro(text: str) -> str | None:
    """What HTCondor would make something else of, although each `$` is escaped (`'$$', which …`)."""
    if "$$" in text:
        return "'$$', which HTCondor would replace by something of the execute node's"
    if "$(dollar)" in text.lower():
        return "'$(DOLLAR)', which HTCondor would replace by '$': write '$' alone"
    if _NESTED_MACRO.search(text):
        return "a '$' inside of what begins like a macro, '$(' or '$NAME(', which HTCondor would replace"
    return None
