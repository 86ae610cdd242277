"""The worst that a worker's log, a hold reason or a name may hold: what parsers refuse and terminals obey."""

from typing import Final

WORST: Final = (
    "\U0001f600",  # above U+FFFF: JSON writes it as a surrogate pair, which YAML refuses
    "\ud83d",  # half of one
    "\udcff",  # what Python makes of a byte that is no UTF-8
    "\x00",
    "\x07\x08\x0b\x0c\x0e\x1f",
    "\x7f",
    "\x80\x85\x9b\x9f",  # C1: a line end for YAML, and the beginning of a terminal's commands
    "\ufeff",
    "\ufffe\uffff\U0010ffff\ufdd0",  # no characters
    "\u202e\u202a\u2066\u2069\u200e\u200f\u061c",  # the direction of text
    "\u2028\u2029",  # line ends
    "\u200b\u2060\u00ad",  # not to be seen
    "\x1b[2J\x1b[31m\x1b]0;title\x07\x1b]8;;http://x\x07",
    "\r",
    "\r\n",
    "\n",
    "\t",
    "\n---\n- !!python/object: {a: *b}\n",
    "\\ud83d\\u0000 \" ' : # %s {} ${x}",
    "中" * 300,
    "\U0001f600" * 300,
    "e" + "\u0301" * 50,
    "x" * 5000,
)
