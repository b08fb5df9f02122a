"""Tracking URIs: what is refused, in one line and leaving nothing behind; secrets are not shown."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.track.store import resolve
from bench.track.tracking_uri import one_line, redacted, scheme_of, without_secrets


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("sqlite://", "names no file that stays"),
        ("sqlite:///", "names no file that stays"),
        ("sqlite:///:memory:", "names no file that stays"),
        ("sqlite:///file:x?mode=memory&uri=true", "names no file that stays"),
        ("sqlite:///runs.db?timeout=1", "names no file that stays"),
        ("sqlite:runs.db", "names no file that stays"),
        ("sqlite+pysqlite:///runs.db", "names no file that stays"),
        ("sqlite:///~nobody-of-this-name/runs.db", "name another file"),
        (":memory:", "neither a server"),
        ("http://[::1", "malformed"),
        ("http://host:port", "malformed"),
        ("http://host:99999", "malformed"),
        ("postgresql://[x/runs", "malformed"),
        ("http://", "names no host"),
        ("https:///path", "names no host"),
        ("http://host?token=abc", "MLFLOW_TRACKING_TOKEN"),
        ("http://host/#abc", "MLFLOW_TRACKING_TOKEN"),
        ("ftp://me:secret@there/x", "neither a server"),
    ],
)
def test_what_names_no_store_is_one_line_and_leaves_nothing(
    uri: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BenchError) as caught:
        resolve(uri, tmp_path)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    for secret in ("abc", "secret"):
        assert secret not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_home_that_sqlite_would_read_as_settings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"--home .*what\? now: .*cannot lie below a '\?'"):
        resolve(None, tmp_path / "what? now")


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://me:secret@host:1/x", "https://me:***@host:1/x"),
        ("https://token@host", "https://***@host"),
        ("http://host:1", "http://host:1"),
        ("sqlite:////home/x/mlflow.db", "sqlite:////home/x/mlflow.db"),
        ("postgresql://host/db?user=me&password=x", "postgresql://host/db?user=***&password=***"),
        ("http://host/?abc", "http://host/?***"),
        ("http://me:a/b@host", "http://me:***@host"),
        ("http://me:p@ss@[::1", "http://me:***@[::1"),
    ],
)
def test_passwords_and_what_a_query_holds_are_not_shown(uri: str, shown: str) -> None:
    assert redacted(uri) == shown
    assert without_secrets(f"cannot open '{uri}' (why)").startswith("cannot open")


SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6).filter(
    lambda text: "***" not in text
)


@given(SECRETS, st.sampled_from(["http", "postgresql", "mysql+pymysql"]), st.booleans())
def test_no_secret_is_in_what_is_shown(secret: str, scheme: str, in_query: bool) -> None:
    word = f"q9{secret}9q"
    coded = quote(word, safe="")
    uri = f"{scheme}://h/db?password={coded}" if in_query else f"{scheme}://me:{coded}@h/db"
    assert coded not in redacted(uri)
    error = ValueError(f"{uri} failed: {coded}, which is {word}\nmore of it: {word}")
    assert word not in one_line(error, uri)
    assert coded not in one_line(error, uri)
    assert coded not in one_line(ValueError(f"no answer from {uri}"))


def test_the_scheme_is_without_its_driver() -> None:
    assert scheme_of("postgresql+psycopg2://h/x") == "postgresql"
    assert scheme_of("HTTP://h") == "http"
    assert scheme_of("runs.db") == ""
