"""What people write is data: the core's descriptions by HTCondor's own parsers, with the worst of texts.

The real library, without an access point: a text passes as it was written, in the attribute that was meant
for it, or is refused. No command, key or value beyond the meant ones appears, and nothing is run.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import classad2
import htcondor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from htcdask_api import Template, expressions, names
from htcdask_operator.condor.agent.submit_language import parsed
from htcdask_operator.condor.description import check
from htcdask_operator.condor.errors import SubmitRefused
from htcdask_operator.core.policy import ClassAdExpression, Profile
from htcdask_operator.core.submit import descriptions, quoting
from tests.builders import NOW, make_cluster, make_policy, make_pool, make_template

GOOD = (
    'member(TARGET.Machine, {"a.example","b.example"})',
    '!member(TARGET.Machine, {"a.example"})',
    "[a = 1].a == 1",
    "[a = 1; b = [c = {1, 2}]].b.c[0] == 1",
    r'regexp("^node\\d+$", Machine)',
    r'regexp("^node\d+$", Machine)',
    "(isDaskNode == True)",
    "TARGET.'Cpus' > 0",
    "a ?: b",
    "x > 1 ? .y : -z",
    'strcat("ü", "\N{GRINNING FACE}") =!= "a\\"b"',
    "Target.Memory >= 1.5e3 && undefined isnt error",
    "!!~1 >>> 2 << 3",
    "{}",
    "[]",
    "size({int(Cpus), {real(1)}}) > time()",
    "[a = TARGET.Memory; b = Cpus].a > [c = 1].c",
    'replaceAll("a", "b", Machine) == replaceAll("a", "c", Machine)',
    'replaceAll("[.].*", toLower(Machine), "") == "node1"',
    r'regexp("^slot\d+_\d+@.*\.example$", Name)',
    r'regexp("^.*-(gpu|cpu|x86)-[0-9]+\..*$", Machine, "i")',
    'regexpMember("^AVX", {"AVX2", "SSE"}) && stringList_regexpMember("avx.*", Flags, ",", "i")',
    'stringListMember("avx2", Flags, ",") && stringListIMember("AVX2", Flags)',
    'versionGE(split(TARGET.CondorVersion)[1], "8.8.0")',
    "countMatches(Capability >= 8.0, AvailableGPUs) >= 2",
    "ifThenElse(isUndefined(KFlops), 0, real(KFlops)) + (Memory ?: -1)",
    "quantize(Memory, {1024, 4096}) + floor(random(10)) + pow(Cpus, 2)",
    " && ".join(f'Machine != "n{number:04d}"' for number in range(90)),
)
BAD = {
    r"TARGET.'Cpus\ninclude command : touch FILE\ny = ' > 0": "quoted name",
    "TARGET.Cpus > 0\ninclude command : touch FILE": "a line break",
    "1\r\nqueue 100": "a line break",
    "1\x0bqueue": "the character '\\x0b'",
    "1\x85queue": "the character '\\x85'",
    "1\u2028queue": "the character '\\u2028'",
    '"\\\\" == ") || true //"': "backslash",
    '"a\\"': "backslash",
    "true // false": "comment",
    "true /* false */": "comment",
    '"$$(Name)"': "'$$'",
    "$(Name)": "'$'",
    "$ENV(HOME)": "'$'",
    "1) || (true": "nothing can stand there",
    "1 ]; [ b = 2": "nothing can stand there",
    '"a" "b"': "nothing can stand there",
    "a = b": "nothing can stand there",
    "a b": "nothing can stand there",
    "Cpus >": "a value is missing",
    "(a": "a ')' is missing",
    "{1,": "a value is missing",
    "1K": "no number",
    "0x10": "no number",
    "9223372036854775808": "as large as",
    "1e999": "as large as",
    "MY.'a b'": "behind a dot",
    "": "empty",
    "  ": "empty",
    "(" * 60 + "1" + ")" * 60: "50 deep",
    "a" * 2049: "longer than",
    "@=end": "'@'",
    "[a = 1; b = a + a].b > 1": "a record uses 'a'",
    "[a = 1; b = .A + 'a'].b > 1": "a record uses 'a'",
    "[a = [c = 1]; b = parent.c].b": "a record uses 'c'",
    '[a = 1; b = MY["a"]].b': "MY without a dot",
    "[a = 1; b = {[c = a]}].b": "a record uses 'a'",
    'eval("true")': "eval()",
    'EVAL ("true")': "EVAL()",
    'replaceAll("a", replaceAll("a", "a", "aa"), "aa") == ""': "replaceAll() inside of replaceAll()",
    "countMatches(strcat(evalInEachContext(1, {[], []})), {[]})": "inside of countMatches()",
    "a \\": "'\\\\'",
    '"$(Dollar)" == "x"': "'$(DOLLAR)'",
    '"$(DOLLAR)$(DOLLAR)(Machine)" != "y"': "'$(DOLLAR)'",
    '"$F($(x)" != "$RANDOM_CHOICE(a, $(y))"': "like a macro",
    "!" * 2040 + "true": "more than 150 operators",
    "-" * 151 + "Cpus": "more than 150 operators",
    "||".join(["a"] * 152): "more than 150 operators",
    "a ?: !b": "brackets around a '!'",
    "a ?: - 1": "brackets around a '-'",
    'join(",", Names) == ""': "strcat()",
    "unparse(Start) == Start": "string()",
    "debug(Cpus) > 1": "logs",
    'userHome("alice") == ""': "files",
    'absTime("x")[0]': "time()",
    "isUndef(Cpus)": "isundefined()",
    r'replace("a", Machine, "\0") == ""': "ends a text",
    r'"a\\\00" == ""': "ends a text",
    "f(1)": "not one of the functions",
    'size(regexps("(.*)", regexps("(.*)", "a", "\\0\\0"), "x")) < 0': "regexps() inside of regexps()",
    f'size(replace("a", Machine, "{"x" * 65}")) < 0': "more than 64 characters",
    'size(replaceAll(".", Machine, Name)) < 0': "must be written out",
    'size(replaceAll(".", "a", strcat(Name, Name))) < 0': "more there than one attribute",
    'countMatches(stringListsIntersect("a", B), {[], []})': "inside of countMatches()",
    "strcat(strcat(strcat(strcat(strcat(1))))) == Name": "inside of 4 others",
    "regexp(Name, Machine)": "must be written out",
    'regexp("(a+)+$", Machine)': "repeats a group that repeats",
    'regexp("(a|a)*$", Machine)': "repeats a group that",
    'regexp("a*a*a*a*$", Machine)': "too many ways",
    "&&".join(['regexp("a*a*[bc]", M)'] * 7): "too many ways",
    f'regexp("^a*a*a*[bc]", "{"a" * 1900}")': "too many ways",
    r'regexp("(a+)\1$", Machine)': r"'\\1'",
    'regexp("(?R)", Machine)': "only ( and (?: are",
    'regexp("a", Machine, "x")': "options 'x'",
    'regexp("(a", Machine)': "not closed",
    'regexp("a)", Machine)': "closes nothing",
    'regexp("[a", Machine)': "not closed",
    'regexp("a{9999}", Machine)': "999",
    'MY["A"] == 1': "MY without a dot",
    '(TARGET.self)["A"] == 1': "self without a dot",
    'Name["A"] == 1': "must be a number",
    "HTCDaskUserRank > 1": "the pool itself sets",
    "TARGET.'htcdaskuserrequirements'": "the pool itself sets",
    "MY.Requirements": "the pool itself sets",
}


RULES = (
    *("a record uses", "without a dot", "must be a number", "must be written out", "brackets around"),
    *("a ',' is missing", "functions that are allowed", "regular expression", "operators in a row"),
    "which the pool itself sets",
)
"""What an expression of HTCondor's may be refused for."""


def described(**template: Any) -> dict[str, str]:
    """The workers' description of a pool whose profile lets no job start."""
    site = Profile("strict", Template(), "false", "KFlops", "group", {"WantGpu": True})
    policy = make_policy(profiles={"strict": site})
    username = template.pop("username", "alice")
    worker = make_template(profile="strict", **template)
    made = descriptions.workers(
        make_pool(), make_cluster(username=username), worker, "hash", "/spool/1", policy, NOW
    )
    check(made, policy.operator_id)
    return dict(made)


def understood(description: dict[str, str]) -> Any:
    """The part of the job that the description sets by attributes, as the schedd would read it."""
    lines = [
        f"{key.removeprefix('My.')} = {value.replace('$(DOLLAR)', '$')}"
        for key, value in description.items()
        if key.startswith("My.")
    ]
    return classad2.parseOne("\n".join(lines), classad2.ParserType.Old)


@pytest.mark.parametrize("text", GOOD)
def test_what_works_in_a_submit_file_works_in_a_pool(text: str) -> None:
    description = described(requirements=text, rank=text)
    made = parsed(description)
    assert made[f"My.{names.AD_USER_REQUIREMENTS}"].replace("$(DOLLAR)", "$") == text
    assert dict(made.items()) == description


@pytest.mark.parametrize("text", BAD)
def test_what_cannot_be_is_refused_by_name_with_the_user_s_own_words(text: str) -> None:
    assert BAD[text] in (expressions.complaint(text) or "")
    with pytest.raises(ValidationError):
        make_template(requirements=text)
    with pytest.raises(quoting.UnquotableError):
        quoting.expression(text)


@pytest.mark.parametrize("text", [*GOOD, *(text for text in BAD if text.strip())])
def test_the_agent_itself_takes_nothing_that_its_parsers_read_in_two_ways(text: str, tmp_path: Path) -> None:
    """The second barrier, alone: as if the first one had a hole."""
    description = described() | {
        f"My.{names.AD_USER_REQUIREMENTS}": text.replace("FILE", str(tmp_path / "x"))
    }
    try:
        made = parsed(description)
    except SubmitRefused:
        assert text not in GOOD
    else:
        assert dict(made.items()) == description
        assert set(understood(description)) == {
            key.removeprefix("My.") for key in description if key.startswith("My.")
        }
    assert list(tmp_path.iterdir()) == []


def test_what_passes_is_evaluated_in_a_moment() -> None:
    """Seven definitions of ten uses each kept schedd and negotiator busy for seconds, ten for hours."""
    uses = [f"a{n} = {' + '.join([f'a{n - 1}'] * 10)}" for n in range(1, 8)]
    assert "a record uses" in (expressions.complaint(f"[a0 = 1; {'; '.join(uses)}].a7 > 0") or "")
    long = "[a = 1; b = [c = {1, 2}]].b.c[0] == 1 && " * 45 + "true"
    began = time.perf_counter()
    assert expressions.complaint(long) is None
    assert classad2.parseOne(f"A = {long}", classad2.ParserType.Old).eval("A") is True
    assert time.perf_counter() - began < 1


_PIECES = st.sampled_from(
    (
        *(
            "'",
            '"',
            "\\",
            "\\\\",
            '\\"',
            "$",
            "$$",
            "$(",
            "(",
            ")",
            "[",
            "]",
            "{",
            "}",
            ",",
            ";",
            "=",
            "==",
            "//",
        ),
        *(
            "/*",
            "*/",
            "#",
            "@=",
            "\n",
            "\r",
            "\r\n",
            "\t",
            "\x0b",
            "\x0c",
            "\x1c",
            "\x85",
            "\u2028",
            "\u2029",
        ),
        *(
            "\x00",
            " ",
            "true",
            "false",
            "||",
            "&&",
            "!",
            "?",
            ":",
            ".",
            "a",
            "MY",
            "TARGET",
            "Cpus",
            "1",
            "1.5",
        ),
        *(
            "e3",
            "is",
            "é",
            "\N{GRINNING FACE}",
            "\ud800",
            "include command : touch FILE",
            "queue 5",
            "~",
            "-",
        ),
        *(
            "arguments = x",
            "+Owner = 1",
            "My.HTCDaskPoolUID = 1",
            "$ENV(HOME)",
            "$(wname)",
            "$F(x)",
            "$$([1])",
        ),
        *("undefined", "regexp(", "\\d"),
    )
)
_TEXTS = st.lists(_PIECES, min_size=1, max_size=12).map("".join) | st.text(max_size=30)


@given(_TEXTS)
@settings(max_examples=1500, deadline=None)
def test_both_of_htcondor_s_parsers_take_whatever_passes(text: str) -> None:
    if expressions.complaint(text) is not None:
        return
    classad2.ExprTree(f"({text})")
    ad = classad2.parseOne(f"A = ({text})\nB = false && (MY.A)", classad2.ParserType.Old)
    assert sorted(ad) == ["A", "B"]
    assert ad.eval("B") is False


@given(_TEXTS)
@settings(max_examples=300, deadline=None)
def test_what_the_library_prints_on_one_line_passes(text: str) -> None:
    """No good text is refused for its shape: what HTCondor prints of an expression is one, too."""
    try:
        printed = str(classad2.parseOne(f"A = ({text})", classad2.ParserType.Old).lookup("A"))
    except Exception:
        return
    inside = ("'", "\\", "$$", "real(", "error(")
    if printed.isprintable() and len(printed) < 2000 and not any(mark in printed for mark in inside):
        found = expressions.complaint(printed)
        assert found is None or any(rule in found for rule in RULES)


@given(_TEXTS, _TEXTS, _TEXTS)
@settings(max_examples=400, deadline=None)
def test_no_text_brings_a_command_a_key_or_a_value_of_its_own(wish: str, rank: str, username: str) -> None:
    fields = {}
    for name, text in (("requirements", wish), ("rank", rank)):
        if expressions.complaint(text) is None:
            fields[name] = text
    description = described(username=username, **fields)
    made = parsed(description)
    assert dict(made.items()) == description
    job = understood(description)
    assert set(job) == {key.removeprefix("My.") for key in description if key.startswith("My.")}
    assert job.eval("Requirements") is not True  # the profile's own requirement holds
    assert job.eval(names.AD_POOL_UID) == "pool-uid"


MACROS = (
    "$(DOLLAR)",
    "$(dollar)(x)",
    "$(DOLLAR)$(DOLLAR)(Machine)",
    "$(DOLLARDOLLAR)",
    "$$(Machine)",
    "$$([Cpus])",
    "$(wname)",
    "$(x)",
    "$( DOLLAR )",
    "$(DOLLAR:1)",
    "$(x:$(y))",
    "$ENV(HOME)",
    "$F(DOLLAR)",
    "$RANDOM_CHOICE(a,b)",
    "$STRING(DOLLAR)",
    "$",
    "a$b",
)


@pytest.mark.parametrize("text", MACROS)
def test_a_macro_in_any_text_that_people_write_arrives_as_it_was_written_or_is_refused(text: str) -> None:
    """As HTCondor expands it, which looks for `$(DOLLAR)` twice."""
    site = Profile("p", Template(), f'"{text}" != "p"', "1", f"group.{text}", {"Note": text})
    pool = make_pool(text)
    cluster = make_cluster(username=text)
    policy = make_policy(profiles={"p": site}, accounting_group=text)
    quoted = f'"{text}" != "y"'
    if expressions.complaint(quoted) is not None:
        assert "$(dollar)" in text.lower() or "$$" in text or text == "$(x:$(y))"
        for quote, unfit in ((quoting.expression, quoted), (quoting.string, text)):
            with pytest.raises(quoting.UnquotableError, match=r"\$\(DOLLAR\)|\$\$|like a macro"):
                quote(unfit)
        return
    worker = make_template(profile="p", requirements=quoted)
    made = descriptions.workers(pool, cluster, worker, "hash", f"/spool/{text}", policy, NOW)
    found = parsed(dict(made))
    assert found.expand(f"My.{names.AD_USER_REQUIREMENTS}") == quoted
    assert found.expand(f"My.{names.AD_PROFILE_REQUIREMENTS}") == f'"{text}" != "p"'
    assert found.expand("My.Note") == f'"{text}"'
    assert found.expand(f"My.{names.AD_POOL}") == f'"gateway/{pool.name}"'
    assert found.expand("input") == f"/spool/{text}/bundle.sh"
    assert found.expand("batch_name").endswith(text)
    for plain in ("accounting_group", "accounting_group_user", f"My.{names.AD_USER}"):
        assert "$" not in found.expand(plain)


_MACRO_PIECES = st.sampled_from(
    ("$", "$(", "(", ")", ":", "x", "DOLLAR", "ENV", "F", "INT", " ", "$RANDOM_CHOICE(")
)


@given(st.lists(_MACRO_PIECES, min_size=1, max_size=8).map("".join))
@settings(max_examples=1000, deadline=None)
def test_what_is_quoted_is_expanded_to_what_was_written(text: str) -> None:
    try:
        quoted = quoting.string(text)
    except quoting.UnquotableError:
        return
    submit: Any = htcondor2.Submit
    assert submit(f"My.Note = {quoted}\n").expand("My.Note") == f'"{text}"'


@pytest.mark.parametrize(
    ("value", "job"),
    [
        ('"$(DOLLAR)(DOLLAR)(x)"', '"$(DOLLAR)(x)"'),
        ('"$(DOLLAR)(DOLLAR)$(DOLLAR)(DOLLAR)(Machine)"', "$(DOLLAR)(DOLLAR)(Machine)"),
        ('"$(DOLLAR)$(DOLLAR)(Machine)"', "$$(Machine)"),
        ('"$(x)"', '"$(x)"'),
        ('"$ENV(PATH)"', '"$ENV(PATH)"'),
        ("$(ClusterId)", "$(ClusterId)"),
    ],
)
def test_the_agent_itself_submits_nothing_that_htcondor_makes_something_else_of(value: str, job: str) -> None:
    for key in ("My.Note", f"My.{names.AD_USER_REQUIREMENTS}", "container_image"):
        with pytest.raises(SubmitRefused, match="nothing was sent") as refused:
            parsed(described() | {key: value})
        assert "was meant" not in str(refused.value) or job in str(refused.value)


def test_what_htcondor_cannot_read_is_not_said_to_be_the_access_point_s_refusal() -> None:
    with pytest.raises(SubmitRefused, match=r"nothing was sent: .* HTCondor's own parsers"):
        parsed(described() | {f"My.{names.AD_USER_REQUIREMENTS}": "!" * 2040 + "true"})


@given(st.dictionaries(_TEXTS, _TEXTS, max_size=3))
@settings(max_examples=300, deadline=None)
def test_a_description_that_says_something_else_is_not_submitted(extra: dict[str, str]) -> None:
    description = described() | extra
    try:
        made = parsed(description)
    except SubmitRefused:
        return
    assert dict(made.items()) == description


VALUES: list[object] = [
    *(
        [],
        ["a", "b"],
        [1, -2, 2.5, True, ["x", [3]]],
        [""],
        ["\N{GRINNING FACE}", " "],
        [2**62, -1.5e18, 1e-9],
    ),
    *(["a$b", 'q"uote', "back\\x"], ["a$", "$b"], ["$(DOLLAR", ")"], ["$INT(", "x)"], ["a = b", "# no"]),
    *(ClassAdExpression(text) for text in ("RequestMemory * 2", '{"a", RequestCpus}', "-1", '"$(wname)"')),
    *(ClassAdExpression(text) for text in ("[a = 1].a", "undefined", "MY.'Cmd' =?= \"}\"", "time() - QDate")),
]


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_what_a_profile_gives_an_attribute_is_to_htcondor_what_was_written(value: object) -> None:
    written = quoting.written(value)
    made = parsed({"My.Given": written})
    found = classad2.parseOne(f"It = {made.expand('My.Given')}", classad2.ParserType.Old)
    if not isinstance(value, ClassAdExpression):
        assert plain(found.eval("It")) == value


def plain(value: object) -> object:
    """A list of HTCondor's, whose items may be expressions, as a list."""
    if isinstance(value, classad2.ExprTree):
        value = value.eval()
    return [plain(each) for each in value] if isinstance(value, list) else value


@given(st.recursive(st.text(max_size=8) | st.integers(-9, 9) | st.booleans(), st.lists, max_leaves=6))
@settings(max_examples=300, deadline=None)
def test_any_list_arrives_as_it_was_written_or_is_refused(value: object) -> None:
    try:
        written = quoting.written([value])
    except quoting.UnquotableError:
        return
    made = parsed({"My.Given": written})
    found = classad2.parseOne(f"It = {made.expand('My.Given')}", classad2.ParserType.Old)
    assert plain(found.eval("It")) == [value]
