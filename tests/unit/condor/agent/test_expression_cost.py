"""What the worst of the accepted expressions cost schedd and negotiator, by HTCondor's own library.

Found by search: each allowed function inside of itself as often as the grammar lets it, long lists of the
dearest calls, regular expressions that backtrack, and texts built at random; evaluated in a process of their
own, whose memory is measured.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from htcdask_api import classad_functions, expressions, names

SECONDS = 0.5  # of a processor: the dearest that was found takes 0.02, and what must not pass takes minutes
MEBIBYTES = 50

_EVALUATE = (
    """
import json, pathlib, re, sys, time
import classad2

def peak():
    return int(re.search("VmHWM:\\s*(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]) / 1024

flags = ",".join(f"flag{n}" for n in range(30))
machine = f'Machine = "node-0123.cluster.example"\\nFlags = "{flags}"\\n'
before = peak()
for text in json.load(sys.stdin):
    print(json.dumps(text), flush=True)
    classad2.ExprTree(f"({text})")
    ad = classad2.parseOne(
        f"{machine}OWN = {text}\\nRequirements = true && (MY.OWN)", classad2.ParserType.Old
    )
    longest = 0.0
    for name in ("OWN", "Requirements"):
        times = []
        for _ in range(3):  # the least of them: others use this computer, too
            began = time.process_time()
            ad.eval(name)
            times.append(time.process_time() - began)
            if times[-1] < SECONDS:
                break
        longest = max(longest, min(times))
    if longest > SECONDS or peak() - before > MEBIBYTES:
        print(f"{longest:.3f} s, {peak() - before:.0f} MiB: {text[:300]}", file=sys.stderr)
        before = max(before, peak())
""".replace("SECONDS", str(SECONDS))
    .replace("MEBIBYTES", str(MEBIBYTES))
    .replace("OWN", names.AD_USER_REQUIREMENTS)
)


def evaluated(texts: list[str]) -> None:
    """Fails for texts that take too long, too much memory, or end HTCondor."""
    done = subprocess.run(
        [sys.executable, "-c", _EVALUATE], input=json.dumps(texts), capture_output=True, text=True
    )
    last = done.stdout.splitlines()[-1:][:500]
    assert (done.returncode, done.stderr) == (0, ""), f"{done.stderr[-2000:]}\nthe last one was {last}"


def accepted(text: str) -> bool:
    return expressions.complaint(text) is None


def longest(make: Callable[[int], str], most: int = expressions.LONGEST) -> str | None:
    """`make(n)` for the largest n that is accepted, if any is."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if accepted(make(middle)) else (low, middle - 1)
    return make(low) if low else None


def nested(before: str, after: str, inside: str) -> Callable[[int], str]:
    return lambda n: before * n + inside + after * n


_SHAPES = (
    ("{}(", ")"),
    ("{}(", ",1)"),
    ("{}(1,", ")"),
    ('{}("a",', ")"),
    ('{}("<",{{', "},1)"),
    ("{}({{", "}})"),
)
_MORE = ("{}(", ",{{[],[]}})"), ("{}(true,", ",1)"), ('{}(",",', ")"), ("{}(", ',"a")')
_INSIDE = '"\\"a\\" b\\"c"', "{1, Flags}"
_OPERATORS = ("-(", ")"), ("!(", ")"), ("{", "}"), ("{", "}[0]"), ("[a=", "].a"), ("a?:(", ")"), ("(", "?:a)")


def deep() -> Iterator[str | None]:
    for function in sorted(classad_functions.ALLOWED):
        for before, after in _SHAPES + _MORE:
            for inside in _INSIDE:
                begin, end = before.format(function), after.replace("{{", "{").replace("}}", "}")
                yield next(filter(accepted, (nested(begin, end, inside)(n) for n in (48, 4, 1))), None)
    for before, after in _OPERATORS:
        yield longest(nested(before, after, "Flags"), 200)
    for sign in "-!~+":
        yield longest(nested(sign, "", "true"), 200)
    for function in sorted(classad_functions.GROWING):
        for around in classad_functions.GROWING:
            yield longest(nested(f"size({around}({function}(", ")))", '"\\"a\\" b\\"c" '), 30)
    long = '"' + '\\" ~' * 400 + 'x"'
    for text in ("string(split({}))", "strcat(split({}),1)", "toUpper(split({}))"):
        yield longest(lambda n, text=text: f"size({_times(text, n, long)})", 30)  # type: ignore[misc]


def _times(text: str, times: int, inside: str) -> str:
    for _ in range(times):
        inside = text.format(inside)
    return inside


def wide() -> Iterator[str | None]:
    """The dearest calls, as many as there is room for."""
    a, subject, matches = "a" * 60, "a" * 190, r"\1" * 30
    calls = (
        'regexp("a*a*[bc]", Machine)',
        f'regexp("a*a*[bc]", "{subject}")',
        f'regexp("^a*a*a*[bc]", "{subject}")',
        f'regexp("a*[bc]", "{"a" * 1500}")',
        f'regexp("(a|a|a)(a|a|a)a*[bc]", "{subject}")',
        f'regexp("a?a?a?a?a?a?a*[bc]", "{subject}")',
        f'regexp("(((((a?)?)?)?)?)?[bc]", "{subject}")',
        f'regexp("^(a{{1}}){{900}}[bc]", "{subject}")',
        f'regexpMember("a*a*[bc]", {{{", ".join([chr(34) + a + chr(34)] * 3)}}})',
        f'size(replaceAll("(a)", "{subject}", "{matches}"))',
        f'size(replaceAll(".", "{"a" * 1900}", "{"x" * 60}"))',
        f'size(replaceAll("", "{"a" * 60}", Flags))',
        f'size(regexps("(.*)", Flags, "{matches}"))',
        f"size(strcat({','.join(['Flags'] * 20)}))",
        f"countMatches({'+'.join(['1'] * 140)} > 0, {{{','.join(['[]'] * 400)}}})",
        f"size(evalInEachContext({{{','.join(['1'] * 400)}}}, {{{','.join(['[]'] * 400)}}}))",
        f"size(string(evalInEachContext({{{','.join(['1'] * 400)}}}, {{{','.join(['[]'] * 300)}}})))",
        f'size(string(evalInEachContext("{"a" * 900}", {{{",".join(["[]"] * 340)}}})))',
        f'stringListsIntersect("{",".join(["a"] * 480)}", "{",".join(["b"] * 480)}")',
        f'stringListSubsetMatch("{",".join(["a"] * 480)}", "{",".join(["b"] * 480)},a")',
        f'stringListISubsetMatch("{",".join(["a"] * 480)}", "{",".join(["b"] * 480)},a")',
        f'size(formatTime(time(), "{"%c" * 900}"))',
        f'size(evalInEachContext(split("{",".join(["a"] * 450)}"), {{{",".join(["[]"] * 340)}}}))',
        f'size(string(evalInEachContext(split("{",".join(["a"] * 450)}"), {{{",".join(["[]"] * 330)}}})))',
        f'countMatches(stringListSum("{",".join(["1"] * 450)}") > 0, {{{",".join(["[]"] * 340)}}})',
        f"[a={'+'.join(['1'] * 140)}; b={'+'.join(['1'] * 140)}].a",
        f"({'+'.join(['a'] * 100)})",
        "MY.A",
        "TARGET.A",
        "random(10)",
        "Flags",
        "{Flags,Flags}",
    )
    for call in calls:
        for before, join, after in (
            ("", " || ", ""),
            ("", " + ", ""),
            ("sum({", ", ", "})"),
            ("size(string({", ", ", "}))"),
        ):
            yield longest(
                lambda n, call=call, before=before, join=join, after=after: (  # type: ignore[misc]
                    before + join.join([call] * n) + after
                ),
                500,
            )


def built(seed: int, count: int) -> Iterator[str]:
    """At random: from the inside out, with every operator, function and bracket."""
    dice = random.Random(seed)  # noqa: S311
    # random() of what is no number is no value at all to HTCondor.
    functions = sorted((classad_functions.PLAIN | classad_functions.GROWING) - {"random"})
    operators = "|| && ?: | ^ & == != < <= =?= =!= is isnt << >> >>> + - * / %".split()  # noqa: SIM905
    around = (
        lambda text: dice.choice("-!~+") * dice.choice((1, 2, 40)) + text,
        lambda text: f"({text})",
        lambda text: f"{{{text}}}",
        lambda text: f"[q={text}].q",
        lambda text: text + dice.choice(("?1:2", "?:1", "[0]", ".a", "?:-1")),
        lambda text: dice.choice(("a?{}:1", "true?b:{}", "undefined?:{}", "a?:{}")).format(text),
        lambda text: text + f" {dice.choice(operators)} a" * dice.choice((1, 2, 50)),
        lambda text: f"a {dice.choice(operators)} " * dice.choice((1, 2, 50)) + text,
        lambda text: f"{dice.choice(functions)}({text})",
        lambda text: f"{dice.choice(functions)}(1, {text})",
        lambda text: f"countMatches({text}, {{[], []}})",
        lambda text: f'regexp("^a*b", {text})',
    )
    for _ in range(count):
        text = dice.choice(("1", "a", '"\\"x"', "Flags"))
        for _ in range(dice.randrange(1, 60)):
            try:
                longer = dice.choice(around)(text)
            except (IndexError, KeyError, ValueError):  # it has brackets for format(), too
                continue
            if accepted(longer):
                text = longer
        yield text


@pytest.mark.parametrize("texts", [deep, wide], ids=["nested", "many"])
def test_the_dearest_of_what_passes_costs_a_moment_and_little_memory(
    texts: Callable[[], Iterator[str | None]],
) -> None:
    found = [text for text in texts() if text is not None]
    assert len(found) > 50
    assert all(accepted(text) for text in found)
    evaluated(found)


def test_what_passes_is_read_by_both_of_htcondor_s_parsers_and_evaluated() -> None:
    evaluated(list(built(1, 150)))


@pytest.mark.parametrize("pattern", ["a*a*[bc]", "^a*a*a*[bc]", "(a|b|c|d)?x*", "a{2,3}[bc]"])
def test_what_one_pattern_costs_is_known_before_it_is_tried(pattern: str) -> None:
    one = classad_functions.steps(pattern, 1, 0)
    assert one < classad_functions.steps(pattern, 2, 0) < classad_functions.steps(pattern, 2, 200)
