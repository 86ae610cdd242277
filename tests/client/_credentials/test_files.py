"""Which files are a notebook's credentials, and which are none."""

import os
from pathlib import Path

import pytest

from htcdaskgateway._credentials.files import BEARER_TOKEN, X509, choose, read

PROXY = "-----BEGIN CERTIFICATE-----\nMIIsecret\n-----END CERTIFICATE-----\n"


def test_what_is_given_is_sent_and_nothing_else(tmp_path: Path) -> None:
    surroundings = {X509: "/proxy", BEARER_TOKEN: "/token"}
    assert choose("/a", None, surroundings) == {X509: Path("/a")}
    assert choose(None, Path("/b"), surroundings) == {BEARER_TOKEN: Path("/b")}
    assert choose("~/a", "/b", {}) == {X509: Path.home() / "a", BEARER_TOKEN: Path("/b")}


def test_without_arguments_it_is_what_the_notebook_uses(tmp_path: Path) -> None:
    assert choose(None, None, {X509: "/proxy", BEARER_TOKEN: "/token"}) == {
        X509: Path("/proxy"),
        BEARER_TOKEN: Path("/token"),
    }
    token = tmp_path / f"bt_u{os.getuid()}"
    token.write_text("a.b.c")
    assert choose(None, None, {X509: "/proxy", "XDG_RUNTIME_DIR": str(tmp_path)})[BEARER_TOKEN] == token


def test_a_file_of_somebody_else_in_the_usual_place_is_left_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = os.getuid() + 4711  # nobody's here, so that the usual places are empty
    monkeypatch.setattr(os, "getuid", lambda: user)
    (tmp_path / f"bt_u{user}").write_text("planted")
    with pytest.raises(ValueError, match=f"found no credential.*x509up_u{user}.*bt_u{user}.*bearer_token="):
        choose(None, None, {"XDG_RUNTIME_DIR": str(tmp_path)})


def test_both_kinds_are_read_whole(tmp_path: Path) -> None:
    (tmp_path / "proxy").write_text(PROXY)
    (tmp_path / "token").write_text("a.b.c\n")
    paths = {X509: tmp_path / "proxy", BEARER_TOKEN: tmp_path / "token"}
    assert read(paths) == {X509: PROXY.encode(), BEARER_TOKEN: b"a.b.c\n"}


@pytest.mark.parametrize(
    ("variable", "content", "said"),
    [
        (X509, "", "empty"),
        (X509, "secret", "not an X.509 proxy"),
        (X509, PROXY + "x" * 2**16, "more than 65536 bytes"),
        (BEARER_TOKEN, " \n", "empty"),
        (BEARER_TOKEN, "two secrets", "not a bearer token"),
    ],
)
def test_what_is_no_credential_is_refused_and_not_shown(
    variable: str, content: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text(content)
    with pytest.raises(ValueError, match=said) as refused:
        read({variable: file})
    assert str(file) in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="is not a file"):
        read({X509: tmp_path / "pipe"})


@pytest.mark.parametrize("given", ["folder", ""])
def test_a_folder_is_named(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"^{tmp_path / given} is not a file"):
        read(choose(None, given, {}))


def test_a_path_means_what_it_meant_when_it_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("a.b.c")
    monkeypatch.chdir(tmp_path)
    paths = choose(None, "token", {})
    monkeypatch.chdir("/")
    assert read(paths) == {BEARER_TOKEN: b"a.b.c"}


def test_a_token_in_the_place_of_its_file_is_not_shown(tmp_path: Path) -> None:
    token = "eyJhbGciOi.xxx-1.y_y"
    with pytest.raises(ValueError, match="is the name of a file that holds the token") as refused:
        read(choose(None, token, {}))
    assert "eyJ" not in str(refused.value)
    assert refused.value.__suppress_context__
    (tmp_path / token).write_text("a.b.c")  # whoever calls a file so may have it
    assert read(choose(None, tmp_path / token, {})) == {BEARER_TOKEN: b"a.b.c"}


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing-here"):
        read({X509: tmp_path / "nothing-here"})
