"""`node_match_expr`: the raw submit lines of the older clients, read as a rank and a requirement.

Called by `keywords`; pure. Only the two keys are told apart here. What may stand behind them is the rule of
`htcdask_api.expressions`, which the pool's template enforces.
"""

import re
from collections.abc import Iterator

_RULE = "node_match_expr must be 'rank = <expression>' or 'requirements = <expression>', one a line"
_ATTRIBUTE_RULE = (
    "it sets an attribute of the job, and those are your site's to set: ask for a profile with it in its "
    "`attributes`, and say profile=NAME"
)
_ATTRIBUTE = re.compile(r"\s*(\+|my\.)\w+\s*=(?![=?!])", re.IGNORECASE)
_ASSIGNMENT = re.compile(
    r"\s*(?P<key>rank|requirements)\s*=(?![=?!])\s*(?P<expression>\S.*?)\s*", re.IGNORECASE | re.DOTALL
)
# A line may go on behind a backslash at its end, as in a submit file.
_LINE_END = re.compile(r"(?<!\\)\r?\n")
_GOES_ON = re.compile(r"\\\r?\n")
# A quoted string or name; a bracket; anything else but the separator.
_PIECE = re.compile(
    r"""(?P<opens>[(\[{])|(?P<closes>[)\]}])|(?P<ends>;)|"(?:\\.|[^"\\])*"|'[^']*'|.""", re.DOTALL
)


def parse_node_match(text: str) -> dict[str, str]:
    """`{"rank": …, "requirements": …}`, either or both; ValueError names the two that are possible."""
    found: dict[str, str] = {}
    for line in _lines(text):
        if not line.strip():
            continue
        assignment = _ASSIGNMENT.fullmatch(line)
        if _ATTRIBUTE.match(line):
            raise ValueError(f"{_RULE}; got {line.strip()!r}: {_ATTRIBUTE_RULE}")
        if assignment is None:
            raise ValueError(f"{_RULE}; got {line.strip()!r}")
        key = assignment["key"].lower()
        if key in found:
            raise ValueError(f"{_RULE}; {key!r} is there twice")
        found[key] = assignment["expression"]
    if not found:
        raise ValueError(f"{_RULE}; got {text!r}")
    return found


def _lines(text: str) -> Iterator[str]:
    """The lines, and their parts between semicolons: but for those in quotes, and in a record's brackets."""
    for line in _LINE_END.split(text):
        begin, depth, whole = 0, 0, _GOES_ON.sub(" ", line)
        for piece in _PIECE.finditer(whole):
            if piece["opens"]:
                depth += 1
            elif piece["closes"]:
                depth -= 1
            elif piece["ends"] and depth <= 0:
                yield whole[begin : piece.start()]
                begin = piece.end()
        yield whole[begin:]
