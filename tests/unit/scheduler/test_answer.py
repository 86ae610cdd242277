"""HTTP, as far as it is believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htcdask_operator.scheduler import answer

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        (OK + b"\r\n", b""),
        (OK + b"Content-Length: 3\r\n\r\nabc", b"abc"),
        (b"HTTP/1.0 200 \r\ncontent-length:  3 \r\nServer: x\r\n\r\nabc", b"abc"),
        (OK + b"Set-Cookie: a=b\r\nLocation: http://elsewhere\r\n\r\nabc", b"abc"),
        (OK + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", b"abc"),
        (OK + b"\xff\x00:\xfe\r\n:\r\nnonsense\r\n\r\n\r\n\r\n", b"\r\n\r\n"),
    ],
)
def test_the_body_of_a_whole_answer(wire: bytes, body: bytes) -> None:
    assert wire[answer.body(wire) :] == body


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        (b"", "closed without an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not the answer"),
        (b"HTTP/2 200\r\n\r\n", "not the answer"),
        (b"HTTP/1.1 \xb2\xb2\xb2 OK\r\n\r\n", "not the answer"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, "status 100"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n", "status 302"),
        (b"HTTP/1.1 500 <script>\x1b[31m\r\n\r\n", r"status 500$"),
        (OK, "do not end"),
        (OK + b"X: y\r\n" * 100_000 + b"\r\n", "do not end"),
        (OK + b"Content-Length: 4\r\n\r\nabc", "3 bytes long and said to be 4"),
        (OK + b"Content-Length: 2\r\n\r\nabc", "3 bytes long and said to be 2"),
        (OK + b"Content-Length: -3\r\n\r\nabc", "makes no sense"),
        (OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nabc", "makes no sense"),
        (OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "makes no sense"),
        (OK + b"Content-Length: \xc2\xb2\r\n\r\nabc", "makes no sense"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "encoded"),
        (OK + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b", "encoded"),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_everything_else_is_refused_in_our_own_words(wire: bytes, why: str) -> None:
    with pytest.raises(answer.NotAnAnswerError, match=why) as refused:
        answer.body(wire)
    assert str(refused.value).isprintable() and len(str(refused.value)) < 100


@given(st.binary(max_size=200), st.sampled_from([b"", b"HTTP/1.", OK, OK + b"Content-Length: "]))
def test_whatever_comes(wire: bytes, before: bytes) -> None:
    try:
        assert answer.body(before + wire) <= len(before + wire)
    except answer.NotAnAnswerError as refused:
        assert str(refused).isprintable()
