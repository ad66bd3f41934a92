"""Verdicts: what people who sorted pictures said of them, one word a person and picture, and the majority's."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Literal

VERDICT = "verdict"
"""The name of the label that holds one; NULL takes it back."""
Verdict = Literal["keep", "reject", "unsure"]


def verdicts(connection: sqlite3.Connection) -> dict[int, Verdict]:
    """Picture number to what more people say than not of keep and reject; unsure where neither leads."""
    return dict(connection.execute("SELECT picture, verdict FROM verdicts"))


def verdicts_by_person(connection: sqlite3.Connection) -> dict[str, dict[int, Verdict]]:
    """Person to their last word on every picture that they have not taken back."""
    said: dict[str, dict[int, Verdict]] = {}
    rows = connection.execute(
        """SELECT who, picture, value FROM labels JOIN writers ON writers.id = labels.writer
        WHERE name = ? ORDER BY labels.id""",
        (VERDICT,),
    )
    for who, picture, value in rows:
        if value is None:
            said.get(who, {}).pop(picture, None)
        else:
            said.setdefault(who, {})[picture] = value
    return said


def majority(said: Mapping[str, Mapping[int, Verdict]]) -> dict[int, Verdict]:
    """Person to words into picture to verdict, as `verdicts` does it."""
    lead: dict[int, int] = {}
    for words in said.values():
        for picture, word in words.items():
            lead[picture] = lead.get(picture, 0) + {"keep": 1, "reject": -1, "unsure": 0}[word]
    return {picture: "keep" if by > 0 else "reject" if by < 0 else "unsure" for picture, by in lead.items()}
