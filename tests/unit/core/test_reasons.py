"""Every reason is a name in CamelCase, each once."""

from __future__ import annotations

import re

from htcdask_operator.core import reasons


def test_reasons_are_names_each_once() -> None:
    values = [value for name, value in vars(reasons).items() if name.isupper()]
    assert len(values) == len(set(values)) > 50
    for name, value in vars(reasons).items():
        if name.isupper():
            assert value == "".join(word.capitalize() for word in name.split("_"))
            assert re.fullmatch(r"[A-Za-z]{1,128}", value)
