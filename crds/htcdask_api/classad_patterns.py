"""As much of the rules of `expressions` as patterns can say, for the API server."""

from typing import Final

from . import classad_functions

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
