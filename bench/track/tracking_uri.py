"""Tracking URIs: what one names, which are refused, and how one is shown without its secrets."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from bench.errors import BenchError

SERVERS = ("http", "https", "databricks")
DATABASES = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}  # and the ports they listen on
SQLITE = "sqlite:///"
HIDDEN = "***"

_URL = re.compile(r"[A-Za-z][\w+.-]*://?[^\s'\"<>]*")  # a Path has made one slash of two
_LOGIN = re.compile(r"(?P<start>://?)(?P<user>[^:/?#]*)(?P<password>:.*)?@", re.DOTALL)
_SETTING = re.compile(r"([^?#&;=]+=)?([^?#&;]+)")


def redacted(uri: str) -> str:
    """The URI without its password, and without the values of its query and its fragment.

    A login that is one word may be a token and is hidden too. Works on URIs that are malformed.
    """
    uri = _LOGIN.sub(_hidden_login, uri)
    cut = next((k for k, letter in enumerate(uri) if letter in "?#"), len(uri))
    return uri[:cut] + _SETTING.sub(lambda m: f"{m[1] or ''}{HIDDEN}", uri[cut:])


def _hidden_login(match: re.Match[str]) -> str:
    shown = f"{match['user']}:{HIDDEN}" if match["password"] else HIDDEN
    return f"{match['start']}{shown}@"


def without_secrets(text: str, uri: str = "") -> str:
    """A text, such as a library's error, with every URL in it redacted; the secrets of `uri` are
    hidden wherever they stand."""
    text = _URL.sub(lambda match: redacted(match[0]), text)
    for secret in _secrets(uri):
        edge = r"\b" if len(secret) < 4 else ""  # a short one may be part of a harmless word
        text = re.sub(f"{edge}{re.escape(secret)}{edge}", HIDDEN, text)
    return text


def one_line(error: BaseException, uri: str = "") -> str:
    """The first line of an error's text, or its kind, without secrets; at most 200 characters."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return without_secrets(lines[0], uri)[:200]


def _secrets(uri: str) -> list[str]:
    """The password and the values of the query, as written and as decoded; the longest first."""
    login = _LOGIN.search(uri)
    hidden = [(login["password"] or "").removeprefix(":") or login["user"]] if login else []
    hidden += [value for _, value in _SETTING.findall(uri.partition("?")[2])]
    return sorted({s for v in hidden for s in (v, unquote(v)) if s}, key=len, reverse=True)


def scheme_of(uri: str) -> str:
    """'postgresql' of 'postgresql+psycopg2://...'; empty where the URI has none."""
    return uri.partition(":")[0].split("+")[0].lower() if ":" in uri else ""


def split(uri: str) -> SplitResult:
    """The parts of a URI.

    Raises BenchError when it is malformed: its brackets, its port.
    """
    try:
        parts = urlsplit(uri)
        _ = parts.port  # parsed, and refused, when it is asked for
    except ValueError as error:
        raise BenchError(
            f"tracking URI {redacted(uri)!r} is malformed ({without_secrets(str(error), uri)}); "
            "write http://HOST:PORT or sqlite:///FILE.db"
        ) from error
    return parts


def check_server(uri: str) -> None:
    """Raises BenchError when a server's address has no host, or a query, which MLflow takes
    none of."""
    parts = split(uri)
    if parts.scheme in ("http", "https") and not parts.hostname:
        raise BenchError(f"tracking URI {redacted(uri)!r} names no host; write http://HOST:PORT")
    if parts.query or parts.fragment:
        raise BenchError(
            f"tracking URI {redacted(uri)!r}: an MLflow server's address has no query; give a "
            "login as MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and _PASSWORD"
        )


def sqlite_file(uri: str) -> Path:
    """The file of a sqlite URI, absolute.

    Raises BenchError where it names none: a database in memory ends with the command, and what
    SQLite takes as a setting would become part of a file's name.
    """
    name = uri.removeprefix(SQLITE)
    if name == uri or not name or name.startswith((":", "file:")) or "?" in name or "\0" in name:
        raise BenchError(
            f"tracking URI {redacted(uri)!r} names no file that stays; write sqlite:///FILE.db "
            "(no settings after it, and no '?' in its path)"
        )
    try:
        return Path(name).expanduser().resolve()
    except (OSError, RuntimeError) as error:  # a home folder of nobody, a loop of links
        raise BenchError(f"tracking URI {redacted(uri)!r}: {error}; name another file") from error
