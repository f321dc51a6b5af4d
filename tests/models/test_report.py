"""Reports: every number is readable at any width, and nothing that they name is markup."""

import re

import pytest
from limner.models.report import Report, markdown_table
from rich.console import Console

ODD = "<script>alert(1)</script> [b]|[/b] :cat: \x1b[31m\x07"


def printed(report: Report, width: int) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(report)
    return capture.get()


def ten_variants(label: str = "{}") -> Report:
    scores = {f"{label.format(number)}/score {row}": number + row / 10 for number in range(10) for row in range(3)}
    return Report(scores, dict.fromkeys(scores, 0.012), ["what it is based on"])


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("label", ["{}", "discriminator.residual of {}", "a-very-long-name-without-a-space-{}"])
def test_every_number_fits_at_every_width(width, label):
    text = printed(ten_variants(label), width)
    assert "…" not in text
    assert len(re.findall(r"\d\.\d{3} ± 0\.012", text)) == 30
    assert text.count("what it is based on") == 1
    assert max(map(len, text.splitlines())) <= width


def test_a_wide_terminal_needs_one_table():
    assert printed(ten_variants(), 200).count("┏") == 1
    assert printed(ten_variants(), 80).count("┏") == 3


def test_a_report_shows_no_markup_of_its_names():
    report = Report({f"{ODD}/{ODD}": 0.5}, notes=[ODD])
    assert "<script>" not in report._repr_html_()
    assert report._repr_html_().count("&lt;script&gt;") == 3
    text = printed(report, 200)
    assert "[b]|[/b] :cat:" in text
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\\x1b" in text
    line = report.markdown().splitlines()[-1]
    assert line.count("|") == 3, "two cells"
    assert "<script>" not in line


def test_a_markdown_table_keeps_its_cells():
    assert markdown_table(["a|b", "c"], [["line\nbreak", "<b>"]]) == (
        "| a&#124;b | c |\n| --- | --: |\n| line break | &lt;b&gt; |"
    )
