"""Tables hold what they were given, in the width that was asked for."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mma82cli.forms import draw
from mma82cli.tables import Table

HEADER = ["Domain", "Protocol", *(("Body", t) for t in ("Top-1", "Top-5", "Macro F1")), *(("Both", t) for t in ("F1 mean",)), "n"]
ROW = ["laboratory", "in-domain", "98.72", "100.00", "71.68", "–", "78"]


def shown(width, header=HEADER, rows=(ROW,)):
    return draw([Table(header, rows)], "table", width).splitlines()


def test_headings_stand_over_their_columns():
    heading, above, titles, rule, row = shown(80)
    assert heading.strip().split(" ")[1] == "Body" and heading.rstrip().endswith("Both")
    assert above.split() == ["Macro", "F1"] and titles.split() == ["Domain", "Protocol", "Top-1", "Top-5", "F1", "mean", "n"]
    assert rule == "─" * len(row) and row.split() == ROW
    assert heading.index("─") == row.index("98.72") and row.index("71.68") + 5 == heading.rindex("─") + 1


def test_too_wide_a_table_is_broken_between_its_headings():
    narrow = shown(46)
    assert max(map(len, narrow)) <= 46 and narrow.count("") == 1
    first, second = narrow[: narrow.index("")], narrow[narrow.index("") + 1 :]
    assert first[-1].split() == [*ROW[:5], "78"] and second[-1].split() == ROW[:2] + ROW[5:]


def test_words_are_wrapped_last_and_figures_never():
    table = shown(30, ["Action", "Recall"], [["Tilting forward/backward slowly", "50.00"], ["Nodding", "7.00"]])
    assert max(map(len, table)) <= 30 and table[2].split() == ["Tilting", "forward/", "50.00"]
    assert "123.45" in shown(3, ["a"], [["123.45"]])[-1]


def test_wide_letters_take_two_places():
    table = shown(80, ["動作", "n"], [["頷く", "1"], ["Nodding", "22"]])
    assert table[2] == "頷く      1" and table[3] == "Nodding  22"


def test_styles_are_for_terminals_that_have_them(monkeypatch):
    def text(term, styled):
        monkeypatch.setenv("TERM", term)
        return draw([Table(HEADER, [ROW])], "table", note="x:1", styled=styled)

    plain = text("xterm-256color", False)
    assert plain == text("dumb", True) and "\x1b" not in plain
    styled = text("xterm-256color", True)
    assert "\x1b[1mBody\x1b[0m" in styled and "\x1b[2mx:1\x1b[0m" in styled
    bare = re.sub(r"\x1b\[[0-9;]*m", "", styled)
    assert [line.rstrip() for line in bare.splitlines()] == plain.splitlines()


WORDS = st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=12)
LABELS = st.lists(WORDS, min_size=1, max_size=4)


@settings(max_examples=60)
@given(st.lists(st.tuples(LABELS, st.integers(0, 10**4)), min_size=1, max_size=5), st.integers(40, 90))
def test_nothing_is_lost_at_any_width(rows, width):
    rows = [[" ".join(name), str(n), str(n / 100)] for name, n in rows]
    table = Table(["Label", ("Body", "Clips"), ("Action", "Share of it")], rows)
    text = draw([table], "table", width)
    assert max(map(len, text.splitlines())) <= width
    squeezed = "".join(text.split())
    assert all(cell.replace(" ", "")[:12] in squeezed for row in rows for cell in row)
    assert draw([table], "tsv").count("\t") == 2 * (1 + len(rows))


@pytest.mark.parametrize(("form", "wanted"), [
    ("markdown", "| Domain | Body Top-1 |\n| --- | ---: |\n| a\\|b | 1.00 |\n\n`x:1`\n"),
    ("tsv", "Domain\tBody Top-1\na|b\t1.00\n"),
])  # fmt: skip
def test_other_forms(form, wanted):
    assert draw([Table(["Domain", ("Body", "Top-1")], [["a|b", "1.00"]])], form, note="x:1") == wanted


def test_latex_is_for_booktabs():
    text = draw([Table(["Domain", ("Body", "Top-1"), ("Body", "MCA")], [["50%_&", "1.00", "–"]])], "latex", note="x:1")
    assert r" & \multicolumn{2}{c}{Body} \\" in text and r"\cmidrule(lr){2-3}" in text
    assert r"50\%\_\& & 1.00 & -- \\" in text and text.endswith("% x:1\n") and r"\begin{tabular}{lrr}" in text
