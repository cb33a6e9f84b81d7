"""No figure of what was measured stands in README or docs by hand: the README's block is written by a command.

What is a setting, a limit or a price is no measurement; what was measured is told in the past or beside "measured". The
test knows the words that such sentences have, and so it may be outwitted; it is there for the honest slip.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.report.readme import BEGIN, END

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
_AMOUNT = r"\d[\d.,]*\s?(?:µs|ms|s|seconds|minutes|[kMGT]i?B(?:/s)?|%|times|x|frames an hour)(?!\w)"
_MEASURED = (
    r"\b(?:took|held|needed|measured|reached|was|were|ran|faster|slower|cheaper|saves?|quicker|less than|speed-?up)\b"
)


def by_hand(text: str) -> list[str]:
    """Sentences outside of the block that tell a measured amount."""
    outside = re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", "", text, flags=re.DOTALL)
    prose = re.sub(r"^```.*?^```|^ {4,}.*?$", "", outside, flags=re.DOTALL | re.MULTILINE)
    sentences = re.split(r"(?<=[.:;!?])\s+|\n\s*\n|\n\|", prose)
    return [one for one in sentences if re.search(_AMOUNT, one) and re.search(_MEASURED, one)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_measured_figure_is_written_by_hand(page):
    assert by_hand(page.read_text(encoding="utf-8")) == []


def test_a_slip_is_seen_and_a_setting_is_none():
    assert by_hand("It is quick. A frame took 2.9 GB on two workers.") == ["A frame took 2.9 GB on two workers."]
    assert by_hand("Just in time is 40 % faster.") == ["Just in time is 40 % faster."]
    assert by_hand(f"The limit is 256 MiB.\n{BEGIN}\n| farm | was 3.2 times |\n{END}\n") == []
