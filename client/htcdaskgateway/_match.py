"""`node_match_expr`: the raw submit line of the older clients, read as a rank and a requirement.

Called by `_keywords`; pure. The expressions themselves are parsed by the operator, which holds the ClassAd
library; here only the two keys are told apart.
"""

import re

_RULE = "node_match_expr must be 'rank = <expression>' or 'requirements = <expression>', one a line"
_ASSIGNMENT = re.compile(
    r"\s*(?P<key>rank|requirements)\s*=(?![=?!])\s*(?P<expression>\S.*?)\s*", re.IGNORECASE
)
# A quoted ClassAd string, or anything else up to the next separator; quotes may hold separators.
_LINE = re.compile(r'(?:"(?:\\.|[^"\\\n])*"|[^;\n])+')


def parse_match(text: str) -> dict[str, str]:
    """`{"rank": …, "requirements": …}`, either or both; ValueError names the two that are possible."""
    found: dict[str, str] = {}
    for line in _LINE.findall(text):
        if not line.strip():
            continue
        assignment = _ASSIGNMENT.fullmatch(line)
        if assignment is None:
            raise ValueError(f"{_RULE}; got {line.strip()!r}")
        key = assignment["key"].lower()
        if key in found:
            raise ValueError(f"{_RULE}; {key!r} is there twice")
        found[key] = assignment["expression"]
    if not found:
        raise ValueError(f"{_RULE}; got {text!r}")
    return found
