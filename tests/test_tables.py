"""Tables and marked texts: exact files, escaping, alignment, refusals."""

import re

import pandas as pd
import pytest
from IPython.display import HTML

from lib import paths
from lib.errors import UserError
from lib.tables import interval_text, marked_steps, mean_std_text, percent, save_table, side_by_side, true_minus

NAN = float("nan")
FRAME = pd.DataFrame({"arm": ["standard", "5 CoTs"], "accuracy": [0.6104, NAN], "n": [400, 400]})


@pytest.fixture(autouse=True)
def tables(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "TABLES", tmp_path)
    return tmp_path


def test_files_are_exactly_this(tables):
    save_table(FRAME, "main", "Accuracy.", "05_ablate", note="Simulated.", formats={"accuracy": percent})
    assert (tables / "05_ablate" / "main.csv").read_text() == "arm,accuracy,n\nstandard,0.6104,400\n5 CoTs,,400\n"
    assert (tables / "05_ablate" / "main.md").read_text() == (
        "Accuracy.\n\n| arm | accuracy | n |\n| :--- | ---: | ---: |\n"
        "| standard | 61.0% | 400 |\n| 5 CoTs | – | 400 |\n\nSimulated.\n"
    )


def test_large_counts_are_read_by_thousands_and_truth_values_are_no_counts(tables):
    frame = pd.DataFrame({"arm": ["a", "b"], "n": [1_234_567, -4000], "seen": [True, False]})
    html = save_table(frame, "counts", "c", "05_ablate").data
    assert ">1,234,567</td>" in html and ">−4,000</td>" in html and ">True</td>" in html
    assert (tables / "05_ablate" / "counts.csv").read_text().splitlines()[1] == "a,1234567,True"


def test_a_table_can_be_linked_to():
    assert '<div class="table" id="table-05_ablate-main">' in save_table(FRAME, "main", "c", "05_ablate").data


def test_html_aligns_numbers_right_and_names_left():
    html = save_table(FRAME, "main", "Accuracy.", "05_ablate").data
    assert '<th scope="col" style="text-align:left">arm</th>' in html
    assert '<th scope="col" style="text-align:right">accuracy</th>' in html
    name = '<th scope="row" style="text-align:left">5 CoTs</th>'
    assert f'{name}<td style="text-align:right;white-space:nowrap">–</td>' in html
    assert "0.610" in html and "<caption>Accuracy.</caption>" in html and "note" not in html


def test_a_row_is_headed_by_its_name_and_by_no_number_but_one_of_the_index():
    def headings(frame) -> list[str]:
        return re.findall(r'<th scope="row"[^>]*>(.*?)</th>', save_table(frame, "main", "c", "train").data)

    assert headings(FRAME) == headings(FRAME.set_index("arm")) == ["standard", "5 CoTs"]
    rounds = FRAME.assign(round=[1, 2])[["round", "n"]]
    assert headings(rounds) == [] and headings(rounds.set_index("round")) == ["1", "2"]
    assert headings(FRAME.assign(arm=["standard", ""])) == ["standard"]
    assert headings(FRAME[:0]) == headings(pd.DataFrame()) == []


def test_the_name_of_a_row_looks_like_the_other_cells():
    """A browser would set it in bold; a table of facts, which is no result, stays as it is."""
    style = (paths.ROOT / "lib" / "render.css").read_text(encoding="utf-8")
    assert "tbody th[style] { font-weight: inherit; }" in style
    number = FRAME.assign(round=[1, 2]).set_index("round")[["n"]]
    html = save_table(number, "main", "c", "train").data
    assert '<th scope="row" style="text-align:right;white-space:nowrap">1</th>' in html


def test_model_text_is_escaped_everywhere(tables):
    evil = '<script>alert("x")</script> a|b *c* $d$ &\nnext'
    html = save_table(pd.DataFrame({evil: [evil]}), "evil", evil, "train", note=evil).data
    assert "<script" not in html and html.count("&lt;script&gt;") == 4
    markdown = (tables / "train" / "evil.md").read_text()
    assert r"a\|b \*c\* \$d\$ &amp; next" in markdown
    assert markdown.count(r"\<script\>") == markdown.count("<script") == 4


def test_same_frame_same_bytes(tables):
    first = save_table(FRAME, "main", "c", "train").data
    bytes_then = [(tables / "train" / f"main.{kind}").read_bytes() for kind in ("csv", "md")]
    assert save_table(FRAME, "main", "c", "train").data == first
    assert [(tables / "train" / f"main.{kind}").read_bytes() for kind in ("csv", "md")] == bytes_then
    assert sorted(path.name for path in (tables / "train").iterdir()) == ["main.csv", "main.md"]


def test_a_named_index_is_kept(tables):
    save_table(FRAME.set_index("arm"), "main", "c", "train")
    assert (tables / "train" / "main.csv").read_text().startswith("arm,accuracy,n\nstandard,")


def test_a_frame_without_rows_is_a_table_without_rows():
    assert "<tbody>\n\n</tbody>" in save_table(FRAME[:0], "empty", "c", "train").data


def test_a_sentence_stands_for_a_table_without_rows_and_its_files_are_written(tables):
    html = save_table(FRAME[:0], "empty", "0 arms.", "train", "A note.", nothing="No arm < 1.").data
    assert html == '<div class="table" id="table-train-empty"><p>No arm &lt; 1.</p></div>'
    assert (tables / "train" / "empty.csv").read_text() == "arm,accuracy,n\n"
    assert (tables / "train" / "empty.md").read_text().startswith("No arm \\< 1.\n\n| arm | accuracy | n |\n")


def test_a_table_with_rows_is_shown_whatever_would_be_said_of_none():
    assert save_table(FRAME, "full", "c", "train", nothing="None.").data == save_table(FRAME, "full", "c", "train").data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "../main"}, "no name for a report file"),
        ({"stage": "Ablate!"}, "'Ablate!'"),
        ({"formats": {"acuracy": percent}}, "unknown column 'acuracy'; columns: arm, accuracy, n"),
        ({"frame": pd.DataFrame([[1, 2]], columns=["x", "x"])}, "'x' occurs twice"),
    ],
)
def test_refusals_write_nothing(tables, change, message):
    with pytest.raises(UserError, match=message):
        save_table(**({"frame": FRAME, "name": "main", "caption": "c", "stage": "train"} | change))
    assert not list(tables.iterdir())


def test_numbers_as_text():
    assert (percent(0.834), percent(-0.05), percent(1)) == ("83.4%", "−5.0%", "100.0%")
    assert (percent(NAN), percent(None)) == ("–", "–")
    assert mean_std_text(0.834, 0.012) == "83.4 ± 1.2"
    assert (mean_std_text(0.834, NAN), mean_std_text(NAN, NAN)) == ("83.4", "–")


def test_an_interval_in_points_is_a_number_of_the_table(tables):
    assert interval_text(0.581, 1.0) == "[58.1, 100.0]" and interval_text(NAN, NAN) == "–"
    save_table(pd.DataFrame({"interval": [interval_text(0, 0.5)]}), "main", "Accuracy.", "ablate")
    assert "| ---: |\n| \\[0.0, 50.0\\] |" in (tables / "ablate" / "main.md").read_text(encoding="utf-8")


def test_what_rounds_to_nothing_has_no_sign_and_a_minus_is_a_true_one():
    assert (percent(-0.0001), percent(-0.0006)) == ("0.0%", "−0.1%")
    assert (mean_std_text(-0.0001, 0.01), mean_std_text(-0.05, NAN)) == ("0.0 ± 1.0", "−5.0")
    assert [true_minus(text) for text in ("-0.0", "-0", "-0.05", "-inf")] == ["0.0", "0", "−0.05", "−inf"]
    html = save_table(pd.DataFrame({"difference": [-0.0001, -0.5]}), "signs", "c", "train").data
    assert ">0.000<" in html and ">−0.500<" in html


def test_wrong_steps_are_marked_with_their_reason():
    found = marked_steps([("3 < 4.", None), ("3 + 4 = 8.", "3 + 4 is 7, not 8 & more")]).data
    assert found == (
        '<p class="steps">3 &lt; 4. <mark>3 + 4 = 8.</mark> '
        '<small class="reason">(3 + 4 is 7, not 8 &amp; more)</small></p>'
    )


def test_passages_stand_side_by_side_and_only_html_passes_unescaped():
    found = side_by_side({"standard": "<b>x</b>", "<5> CoTs": HTML("<mark>y</mark>")}, heading="How many <i>?").data
    assert "<p>&lt;b&gt;x&lt;/b&gt;</p>" in found and "<mark>y</mark>" in found
    assert "<h3>&lt;5&gt; CoTs</h3>" in found and "How many &lt;i&gt;?" in found
