"""One page that needs nothing else: formulas as MathML, foreign text escaped, nothing fetched, the headline on top."""

import base64
import html
import re

import nbformat
import pytest

from lib.render import data_uri, faults, markdown, mathml, page, render

HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">'
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;"


def code(source: str, *outputs, tags=()):
    return nbformat.v4.new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)})


def prose(text: str):
    return nbformat.v4.new_markdown_cell(text)


def shown(**data):
    forms = {name.replace("_", "/").replace("svg/xml", "svg+xml"): value for name, value in data.items()}
    return nbformat.v4.new_output("display_data", data=forms)


def printed(text: str):
    return nbformat.v4.new_output("stream", name="stdout", text=text)


def rendered(*cells, name="02_b", names=("01_a", "02_b", "03_c")) -> str:
    return render(nbformat.v4.new_notebook(cells=list(cells)), name, list(names))


def body(*cells) -> str:
    return rendered(*cells).partition("<main>")[2]


@pytest.mark.parametrize("tex", ["$x^2$", "$$x^2$$", "a\n\n$$\nx^2\n$$\n\nb", "| a |\n|---|\n| $x^2$ |"])
def test_tex_becomes_mathml(tex):
    text = markdown(tex)
    assert text.count("<math") == 1 and "<msup><mi>x</mi><mn>2</mn></msup>" in text and "$" not in text


@pytest.mark.parametrize("text", ["`$x^2$`", "```\n$x^2$\n```", "    $x^2$"])
def test_code_keeps_its_dollars(text):
    converted = markdown(text)
    assert "<math" not in converted and "$x^2$" in converted
    assert faults(converted) == []


def test_prices_are_no_formulas():
    assert "<math" not in markdown("He pays $5 and then $6. A pen is $ 2 and two are $ 4.")


@pytest.mark.parametrize("tex", [r"\frac", "x_1_2", r"x + \nosuch"])
def test_formula_that_cannot_be_converted_is_named(tex):
    with pytest.raises(ValueError, match=re.escape(f"cannot convert the formula {tex!r}")):
        mathml(tex)
    with pytest.raises(ValueError, match="cannot convert"):
        markdown(f"${tex}$", trusted=True)


@pytest.mark.parametrize("tex", ["x_1_2", r"\text{<b>}", r"\text{<script>1</script>}"])
def test_what_a_teacher_takes_for_a_formula_stays_and_breaks_no_page(tex):
    assert markdown(f"${tex}$") == f"<p><code>{html.escape(tex)}</code></p>\n"


def test_only_trusted_markdown_passes_html():
    assert markdown("<b>a</b>", trusted=True) == "<p><b>a</b></p>\n"
    assert "<script" not in markdown(HOSTILE) and ESCAPED in markdown(HOSTILE)


def test_links_between_notebooks_become_links_between_pages():
    assert 'href="02_self_eval.html#top"' in markdown("[next](02_self_eval.ipynb#top)")
    assert 'href="https://example.org/a.ipynb"' in markdown("[far](https://example.org/a.ipynb)")


@pytest.mark.parametrize(
    ("html", "fault"),
    [
        ("<script>1</script>", "<script> is not allowed"),
        ('<link rel="stylesheet" href="a.css">', "<link> is not allowed"),
        ("<iframe></iframe>", "<iframe> is not allowed"),
        ('<img src="http://example.org/a.png">', "would be fetched"),
        ('<img src="a.png">', "would be fetched"),
        ('<image xlink:href="//example.org/a.png"/>', "would be fetched"),
        ('<img src="data:image/png;base64,AA==" onload="f()">', "<img onload> is a script"),
        ('<p style="background: url(http://example.org/a)">', "style fetches"),
        ("<style>@import 'http://example.org/a.css';</style>", "style fetches"),
        ("<a href='javascript:f()'>a</a>", "is a script"),
    ],
)
def test_fault_is_found_and_the_page_refused(html, fault):
    assert any(fault in found for found in faults(html))
    with pytest.raises(ValueError, match="page 'a title': "):
        page("a title", html, "")


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://example.org">a</a>',
        '<img src="data:image/png;base64,AA==">',
        '<use href="#a"/>',
        r"<code>$$\frac{1}{2}$$</code>",
        "<pre>$$</pre>",
        "<p>&lt;script&gt; costs $5</p>",
    ],
)
def test_sound_html_has_no_faults(html):
    assert faults(html) == []


@pytest.mark.parametrize("html", ["<p>$$x$$</p>", r"<p>\frac{1}{2}</p>", r"<pre>a</pre><p>\lambda</p>"])
def test_raw_tex_is_found_but_refuses_no_page(html):
    """A teacher may write it, and its words are shown as they are."""
    assert len(faults(html)) == 1 and "raw TeX" in faults(html)[0]
    assert html in page("a title", html, "")


def test_title_and_neighbours():
    text = rendered(prose("# What *is* < it?"))
    assert "<title>What is &lt; it?</title>" in text
    navigation = re.search(r"<nav>(.*)</nav>", text).group(1)
    assert re.findall(r'href="([^"]+)"', navigation) == ["index.html", "01_a.html", "03_c.html"]
    first = re.search(r"<nav>(.*)</nav>", rendered(prose("# A"), name="01_a")).group(1)
    assert re.findall(r'href="([^"]+)"', first) == ["index.html", "02_b.html"]


def test_headline_is_hoisted_under_the_title_and_stands_there_alone():
    text = body(
        prose("# Title\n\nIntroduction."),
        prose("## Middle"),
        code("Markdown(headline)", shown(text_markdown="**found**"), tags=["headline"]),
    )
    places = [text.index(part) for part in ("</h1>", '<aside class="headline">', "Introduction.", "Middle")]
    assert places == sorted(places)
    assert text.count("<strong>found</strong>") == 1
    assert "Markdown" in text  # its code stays where it was


def test_page_without_title_or_headline_is_whole():
    assert "<title>02_b</title>" in rendered(prose("Text."))
    text = body(prose("Text."), code("1", shown(text_plain="found"), tags=["headline"]))
    assert text.index("found") < text.index("Text.")


def test_headings_stay_in_order():
    text = body(prose("# One"), prose("## Two\n\n### Three"), code("1", printed("x")), prose("## Four"))
    assert re.findall(r"<h(\d)>(\w+)</h", text) == [("1", "One"), ("2", "Two"), ("3", "Three"), ("2", "Four")]


def test_code_is_folded_and_its_output_is_not():
    text = body(code("# count them\nlen('<b>')", printed("3\n")))
    assert re.search(r"<summary>code <span>count them</span></summary>", text)
    assert text.index("</details>") < text.index("<pre>3\n</pre>")
    assert "<b>" not in text


def test_a_cell_can_be_linked_to_and_the_one_with_the_headline_found():
    cells = [prose("# One"), code("1", printed("x")), code("2", printed("y"), tags=["headline"])]
    for cell, name in zip(cells, ("01-title", "01-table", "01-said")):
        cell["id"] = name
    text = body(*cells)
    assert '<section id="01-table">' in text and '<section id="01-said" class="said">' in text


def test_empty_cell_leaves_nothing():
    assert "<section" not in body(code("  \n"))


@pytest.mark.parametrize(
    "output",
    [
        printed(HOSTILE),
        shown(text_plain=HOSTILE),
        shown(text_markdown=HOSTILE),
        nbformat.v4.new_output("error", ename="E", evalue=HOSTILE, traceback=[]),
    ],
    ids=["printed", "plain", "markdown", "error"],
)
def test_hostile_output_is_escaped(output):
    text = body(code("1", output))
    assert ESCAPED in text and "<script" not in text and "<img" not in text


def test_hostile_source_is_escaped():
    assert "<script" not in body(code(f"# {HOSTILE}\nx = '{HOSTILE}'"))


def test_error_shown_on_purpose_is_one_line_without_paths():
    error = nbformat.v4.new_output("error", ename="UserError", evalue="no arm", traceback=["/home/me/lib/arms.py:3"])
    text = body(code("1", error, tags=["raises-exception"]))
    assert "UserError: no arm" in text and "/home/me" not in text


@pytest.mark.parametrize("html", ["<p>$$x$$</p>", r"<p>\frac{1}{2}</p>", r"<pre></pre>\log p"])
def test_raw_tex_is_a_fault(html):
    assert len(faults(html)) == 1 and "raw TeX" in faults(html)[0]


def test_tex_that_a_language_model_wrote_is_shown_as_it_is():
    """Refusing it would fail a whole stage for one messy response; in our own prose it is a mistake."""
    table = r"<div><table><tr><td>$$\frac{1}$$</td></tr></table></div>"
    assert r"$$\frac{1}$$" in body(code("1", shown(text_html=table)))
    assert r"<code>\frac</code>" in markdown(r"They write $\frac$ a lot.")
    with pytest.raises(ValueError, match="cannot convert"):
        markdown(r"We write $\frac$.", trusted=True)


def test_style_of_an_output_is_looked_at():
    with pytest.raises(ValueError, match="style fetches"):
        rendered(code("1", shown(text_html="<style>p {background: url(http://example.org)}</style>")))


def test_html_output_with_a_script_is_refused():
    with pytest.raises(ValueError, match="<script> is not allowed"):
        rendered(code("1", shown(text_html=HOSTILE)))


LONG = "What each strategy chooses, 1 of up to 5 rationales a question, without those left out; n = 4"


@pytest.mark.parametrize(
    ("caption", "label"),
    [
        ("A &amp; <b>b</b>", "A &amp; b"),
        ('Said "so". And more.', "Said &quot;so&quot;"),
        ("Accuracy at 0.7: mean. More", "Accuracy at 0.7: mean"),
        (LONG, "What each strategy chooses, 1 of up to 5 rationales a …"),
        (". Odd", "table"),
        ("", "table"),
    ],
)
def test_a_table_is_a_landmark_named_by_its_captions_first_part(caption, label):
    text = body(code("1", shown(text_html=f"<table><caption>{caption}</caption></table>")))
    assert f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">' in text
    assert len(html.unescape(label)) <= 60


def test_a_name_at_the_beginning_heads_its_row_and_a_number_does_not():
    names = markdown("| arm | n |\n|:---|---:|\n| *1* CoT | 2 |\n|  | 3 |")
    assert re.findall("<th .*?</th>", names)[2:] == ['<th scope="row" style="text-align:left"><em>1</em> CoT</th>']
    assert names.count("<tr>") == 3 and names.count("<td") == 3
    assert 'scope="row"' not in markdown("| n | arm |\n|---:|:---|\n| 2 | a |")


def test_a_table_without_a_caption_is_a_landmark_as_well():
    box = '<div class="scroll" tabindex="0" role="region" aria-label="table"><table>'
    assert box in body(code("1", shown(text_html="<table></table>"))) and box in markdown("| a |\n|---|\n| b |")


@pytest.mark.parametrize("text", ["$$x$$", "```\nx\n```"])
def test_keys_reach_formulas_and_code_which_are_no_landmarks(text):
    assert re.findall(r"<div [^>]*>", markdown(text)) in (
        ['<div class="scroll formula" tabindex="0" role="group" aria-label="formula">'],
        ['<div class="highlight scroll" tabindex="0" role="group" aria-label="code">'],
    )


@pytest.mark.parametrize("output", ["<figure><svg/><figcaption>Said.</figcaption></figure>", "<p>x</p>"])
def test_keys_pass_by_what_fits_the_page(output):
    text = body(code("1", shown(text_html=output))).partition("</details>")[2]
    assert f'<div class="scroll">{output}</div>' in text and "tabindex" not in text and "role=" not in text


def test_the_heading_of_a_column_says_so():
    text = markdown("| a | b |\n|---|--:|\n| c | d |")
    assert re.findall(r"<t[hd]\b.*", text) == [
        '<th scope="col">a</th>',
        '<th scope="col" style="text-align:right">b</th>',
        '<th scope="row" style="text-align:left">c</th>',
        '<td style="text-align:right">d</td>',
    ]


def test_code_keeps_its_lines_and_a_blank_first_one():
    text = body(prose("```\n\nx\ny\n```"))
    assert re.search(r"<pre><span></span>\s*x\ny\n</pre></div>", text)


def test_richest_form_is_shown():
    assert "<b>rich</b>" in body(code("1", shown(text_html="<b>rich</b>", text_plain="poor")))
    assert "poor" not in body(code("1", shown(text_html="<b>rich</b>", text_plain="poor")))
    assert "unknown" not in body(code("1", shown(application_x="unknown")))


def test_figures_are_inline():
    svg, png = "<svg/>", base64.b64encode(b"png").decode()
    text = body(code("1", shown(image_svg_xml=svg), shown(image_png=png)))
    assert f'src="{data_uri(svg.encode(), "image/svg+xml")}"' in text
    assert f'src="data:image/png;base64,{png}"' in text


def test_colours_of_a_terminal_are_removed():
    assert "<pre>red</pre>" in body(code("1", printed("\x1b[31mred\x1b[0m")))


def test_latex_output_becomes_mathml():
    assert "<math" in body(code("1", shown(text_latex=r"$$\frac{1}{2}$$")))
