"""Keeping where files lie out of what leaves this machine: paths found in any text.

A path is absolute, below a home (~), relative with dots, on a Windows drive, or a file URL; it may
stand in the middle of a sentence and have spaces in it. What is scrubbed once stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PureWindowsPath
from typing import Any

HIDDEN = "(path)"

_START = (
    r"(?:"
    r"file:/+|"  # file URL
    r"(?<!\w)[A-Za-z]:[\\/](?![\\/]\s)|"  # drive
    r"(?<![\w\\])\\\\(?=[\w.?])|"  # share
    r"(?<![\w/\\.~-])~[\w.-]*[\\/]|"  # home
    r"(?<![\w/\\.~-])\.{1,2}[\\/]|"  # ./ and ../
    r"(?<![\w/\\.~:)\]%-])/+(?=[^\s/])|"  # root
    r"(?<=:)/(?=[^\s/])"  # root after a colon; two slashes are a URL's
    r")"
)
_STOP = r"\n'\"<>|;,"
_PATH = re.compile(
    rf"(?P<quote>['\"]){_START}[^\n]*?(?P=quote)"
    rf"|{_START}(?:[^{_STOP}]*[\\/])?[^\s{_STOP}]*(?:(?: [\w.-]+){{1,4}}?\.\w{{2,5}}\b)?"
)


def without_places(text: str) -> str:
    """The text with each path in it, its last name too, replaced by HIDDEN."""
    return _PATH.sub(HIDDEN, text)


def base_name(text: str) -> str:
    """'my_space.py:wide' of '/home/x/my_space.py:wide'; a plain name as it is."""
    return PureWindowsPath(text).name if _PATH.search(text) else text


def public_label(label: str, params: Mapping[str, Any]) -> str:
    """A label in which each parameter that is a user's file goes by its base name."""
    for value in params.values():
        if isinstance(value, str):
            label = label.replace(value, base_name(value)) if value else label
    return label


def scrubbed(value: Any) -> Any:
    """A copy of plain data without places in its texts, keys included."""
    if isinstance(value, str):
        return without_places(value)
    if isinstance(value, Mapping):
        return {scrubbed(key): scrubbed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [scrubbed(item) for item in value]
    return value
