"""Sentences about the protocol and the verdict."""

from __future__ import annotations

from leaderboards.claims import describe_protocol
from tests.unit.leaderboards.synthetic import PROTOCOL


def test_the_settings_of_a_guidance_are_in_the_words_of_the_protocol() -> None:
    guided = {
        **PROTOCOL,
        "reference": {"part": "report", "digest": "abcdef"},
        "guidance": "classifier_free",
        "guidance_args": {"weight": 5.0, "interval": [0.25, 2.0]},
    }
    words = describe_protocol(guided)
    assert words.endswith(
        "guidance classifier_free, guidance weight 5, guidance interval 0.25 to 2"
    )
    assert "abcdef" not in words  # "against the report part" says what the reference is
    assert "guidance" not in describe_protocol({**PROTOCOL, "guidance_args": {}})
