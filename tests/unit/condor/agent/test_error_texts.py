"""What HTCondor's errors say: a site's words are quoted, and mean nothing to us."""

from __future__ import annotations

import pytest

from htcdask_operator.condor.agent import error_texts


def undecodable(content: bytes) -> UnicodeDecodeError:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return error
    raise AssertionError(content)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError("a\n  b\tc\n"), "a b c"),
        (OSError(), "OSError"),
        (undecodable(b"f\xfcr\nSie"), "f\N{REPLACEMENT CHARACTER}r Sie"),
    ],
)
def test_a_text_is_one_line_whatever_its_bytes(error: Exception, text: str) -> None:
    assert error_texts.of(error) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Unable to commit transaction, SCHEDD:2:No project: DENIED", "No project: DENIED [said by"),
        ("Unable to commit transaction, SCHEDD:2:SCHEDD:3:x", "SCHEDD:3:x [said by"),
        ("Unable to commit transaction, SCHEDD:2:", "It gives no reason [said by"),
        (
            "Failed to create new cluster.SCHEDD:22:MAX_JOBS_SUBMITTED exceeded.",
            "MAX_JOBS_SUBMITTED exceeded. ",
        ),
        ("Unable to commit transaction, SCHEDD:2:" + "x" * 5000, "x" * 1500 + "... [said by"),
        (
            "expected next ProcId to be 4, but Schedd says -3",
            "the schedd ap takes no more jobs of the operator's account at a time: MAX_JOBS_PER_OWNER",
        ),
        (
            "expected next ProcId to be 5, but Schedd says -4",
            "the schedd ap takes no more jobs in one submit: MAX_JOBS_PER_SUBMISSION",
        ),
    ],
)
def test_a_refusal_is_the_site_s_words_first(text: str, said: str) -> None:
    assert (error_texts.refusal(text, "ap") or "").startswith(said)


@pytest.mark.parametrize(
    "text",
    [
        'SECMAN:2010:Received "DENIED" from server',
        "DENIED, as in: Unable to commit transaction, SCHEDD:2:x",
        "expected next ProcId to be 4, but Schedd says -99",
        "Failed to connect to schedd.",
    ],
)
def test_what_is_no_refusal_of_a_submit_is_none(text: str) -> None:
    assert error_texts.refusal(text, "ap") is None


@pytest.mark.parametrize(
    ("text", "by_rule"),
    [
        ("Unable to commit transaction, SCHEDD:2:No project: DENIED", True),
        ("Unable to commit transaction, SCHEDD:2:", True),
        ("Failed to create new cluster.SCHEDD:28:AP user has OS user value ghost", False),
        ("expected next ProcId to be 4, but Schedd says -3", False),
        ("DENIED, as in: Unable to commit transaction, SCHEDD:2:x", False),
        ("Unable to commit transaction, the connection is gone", False),
    ],
)
def test_a_rule_is_what_refuses_a_job_and_not_its_owner(text: str, by_rule: bool) -> None:
    assert error_texts.is_of_rule(text) is by_rule


@pytest.mark.parametrize(
    ("text", "is_open"),
    [
        ("Unable to commit transaction, ", True),
        ("Unable to commit transaction, CEDAR:6001:DENIED in a proxy's words", True),
        ("Unable to commit transaction, SCHEDD:2:No project", False),
        ("Failed to create new cluster.", False),
        ("expected next ProcId to be 4, but Schedd says -1", False),
    ],
)
def test_a_transaction_whose_end_was_not_answered_may_be_in_the_queue(text: str, is_open: bool) -> None:
    assert error_texts.is_open(text) is is_open


@pytest.mark.parametrize(
    ("text", "broken_off"),
    [
        ("Failed to create new cluster.", True),
        ("Failed to create new cluster.SCHEDD:28:AP user has OS user value ghost", False),
        ("expected next ProcId to be 4, but Schedd says -1", True),
        ("expected next ProcId to be 4, but Schedd says -4", False),
    ],
)
def test_a_submit_that_ends_without_a_word_is_no_refusal(text: str, broken_off: bool) -> None:
    assert error_texts.is_broken_off(text) is broken_off
