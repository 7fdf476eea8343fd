"""An executed notebook as one HTML page that needs nothing else: no scripts, no network, formulas as MathML.

Prose and results are read first; the code of a cell unfolds on a click. The output of the cell tagged `headline` is
moved under the title. Text that a teacher or a student wrote arrives escaped, or is escaped here.
"""

import base64
import html
import re
import textwrap
from html.parser import HTMLParser
from pathlib import Path
from string import Template

import latex2mathml.converter
import mistune
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer, TextLexer

HERE = Path(__file__).parent
# The richest form that a still page can show comes first.
FORMS = ("text/html", "image/svg+xml", "image/png", "image/jpeg", "text/markdown", "text/latex", "text/plain")
NAME_LENGTH = 60  # characters of a table's name, which is read out before the table


def render(notebook, name: str, names: list[str]) -> str:
    """A normalised notebook as a whole page, linked to its neighbours in `names`."""
    headline = "".join(_outputs(cell) for cell in notebook.cells if "headline" in _tags(cell))
    body = "\n".join(part for cell in notebook.cells if (part := _cell(cell)))
    if headline:
        body = _under_title(body, f'<aside class="headline">{headline}</aside>')
    return page(_title(body) or name, body, _neighbours(name, names))


def page(title: str, body: str, navigation: str) -> str:
    """A whole HTML page; refused if it would fetch anything or run a script."""
    template = Template((HERE / "render.html").read_text(encoding="utf-8"))
    style = (HERE / "render.css").read_text(encoding="utf-8") + _formatter().get_style_defs(".highlight")
    text = template.substitute(title=html.escape(title), style=style, navigation=navigation, body=body)
    problems = _inspected(text).hazards
    if problems:
        raise ValueError(f"page {title!r}: {'; '.join(problems[:3])}")
    return text


def faults(text: str) -> list[str]:
    """What keeps a page from being read offline: scripts, things fetched, images not inline; and raw TeX.

    Raw TeX alone does not make `page` refuse: a teacher may have written it.
    """
    inspector = _inspected(text)
    return inspector.hazards + inspector.tex


def markdown(text: str, trusted: bool = False) -> str:
    """Markdown with tables and TeX as HTML.

    In text that is not trusted, as a notebook's prose is, raw HTML is escaped, and a formula that cannot be converted
    stays as it is.
    """
    convert = mistune.create_markdown(renderer=_Prose(trusted), plugins=["math", "table", "strikethrough"])
    return convert(text)


def mathml(tex: str, display: str = "inline") -> str:
    """A formula as MathML, which browsers draw by themselves. Raises ValueError naming a formula it cannot convert."""
    try:
        text = latex2mathml.converter.convert(tex.strip(), display=display)
    except Exception as error:  # the converter raises many kinds, and none names the formula
        raise ValueError(f"cannot convert the formula {tex!r}: {type(error).__name__} {error}") from error
    unknown = re.search(r"\\[A-Za-z]+", text)
    if unknown:
        raise ValueError(f"cannot convert the formula {tex!r}: unknown command {unknown.group()}")
    return text


def scrolling(content: str, label: str = "", kind: str = "scroll") -> str:
    """HTML in a box that scrolls sideways, which keys can reach and scroll too.

    label   of a table what is in it, as plain text: the box is a landmark of the page; others, "code" or "formula" by
            their kind, are groups, which are none
    """
    named = html.escape(label) or ("code" if "highlight" in kind else "formula")
    return (
        f'<div class="{kind}" tabindex="0" role="{"region" if label else "group"}" aria-label="{named}">{content}</div>'
    )


def data_uri(content: bytes, kind: str) -> str:
    """A file's content as an address that needs no file."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


class _Prose(mistune.HTMLRenderer):
    """Markdown as we want it: formulas as MathML, wide things in boxes that scroll, links between the pages."""

    def __init__(self, trusted: bool):
        super().__init__(escape=not trusted)
        self._trusted = trusted

    def inline_math(self, text: str) -> str:
        # "$5 and then $ 6" is about money: a formula has no blank before its closing dollar
        return self._formula(text, "inline") if text == text.rstrip() else html.escape(f"${text}$")

    def block_math(self, text: str) -> str:
        return scrolling(self._formula(text, "block"), kind="scroll formula") + "\n"

    def _formula(self, tex: str, display: str) -> str:
        if self._trusted:
            return mathml(tex, display)
        try:
            if not re.search("[<>&]", tex):  # the converter lets tags inside \text through
                return mathml(tex, display)
        except ValueError:
            pass
        return f"<code>{html.escape(tex)}</code>"

    def table(self, text: str) -> str:
        return scrolling(f"<table>\n{text}</table>", "table") + "\n"

    def table_row(self, text: str) -> str:
        # a name at the beginning is the heading of its row; a number, which stands right, is none
        heading = r'  <th scope="row" style="text-align:left">\1</th>'
        named = re.sub(r'\A\s*<td(?: style="text-align:left")?>(.+?)</td>', heading, text)
        return f"<tr>\n{named}</tr>\n"

    def table_cell(self, text: str, align: str | None = None, head: bool = False) -> str:
        begin, tag = ('th scope="col"', "th") if head else ("td", "td")
        look = f' style="text-align:{align}"' if align else ""
        return f"  <{begin}{look}>{text}</{tag}>\n"

    def block_code(self, code: str, info: str | None = None) -> str:
        return _code(code, PythonLexer() if info == "python" else TextLexer())

    def link(self, text: str, url: str, title: str | None = None) -> str:
        return super().link(text, re.sub(r"^([\w-]+)\.ipynb", r"\1.html", url), title)


def _inspected(text: str) -> "_Inspector":
    inspector = _Inspector()
    inspector.feed(text)
    inspector.close()
    return inspector


class _Inspector(HTMLParser):
    """Collects hazards (what fetches or runs) and raw TeX outside code and style."""

    LOADERS = frozenset({"script", "iframe", "object", "embed", "base", "link", "audio", "video"})
    FETCHED = frozenset({"src", "srcset", "poster", "background"})
    VERBATIM = frozenset({"pre", "code", "summary", "style"})

    def __init__(self):
        super().__init__()
        self.hazards: list[str] = []
        self.tex: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag, attributes):
        if tag in self.VERBATIM:
            self._open.append(tag)
        if tag in self.LOADERS:
            self.hazards.append(f"<{tag}> is not allowed")
        for key, value in attributes:
            self._check(tag, key, (value or "").strip())

    def handle_endtag(self, tag):
        if tag in self._open:
            self._open.remove(tag)

    def handle_data(self, data):
        if "style" in self._open:
            self._check_style(data)
        found = re.search(r"\$\$|\\(frac|sum|log|text|hat|lambda|ell|math\w+|theta)\b", data)
        if found and not self._open:
            self.tex.append(f"raw TeX: {data[max(0, found.start() - 20) : found.end() + 20]!r}")

    def _check(self, tag, key, value):
        fetched = key in self.FETCHED or (tag != "a" and key in {"href", "xlink:href"})
        if fetched and not value.startswith(("data:", "#")):
            self.hazards.append(f"<{tag} {key}={value!r:.60}> would be fetched")
        if key.startswith("on") or value.lower().startswith("javascript:"):
            self.hazards.append(f"<{tag} {key}> is a script")
        if key == "style":
            self._check_style(value)

    def _check_style(self, text):
        for address in re.findall(r"(?:url\(|@import)\s*['\"]?([^'\")\s]*)", text):
            if not address.startswith(("data:", "#")):
                self.hazards.append(f"style fetches {address!r:.60}")


def _cell(cell) -> str:
    """One cell: prose as it is, code folded with its outputs below; a headline's outputs stand under the title."""
    if cell.cell_type == "markdown":
        return markdown(cell.source, trusted=True)
    if cell.cell_type != "code" or not cell.source.strip():
        return ""
    outputs = "" if "headline" in _tags(cell) else _outputs(cell)
    summary = f"code <span>{html.escape(_first_words(cell.source))}</span>"
    folded = f'<details class="code"><summary>{summary}</summary>{_code(cell.source, PythonLexer())}</details>'
    return f"<section{_anchor(cell)}>{folded}{outputs}</section>"


def _anchor(cell) -> str:
    """The cell's own id, by which other pages link to it; a cell tagged `headline` is found by its class."""
    name = f' id="{html.escape(cell.id)}"' if cell.get("id") else ""
    return name + (' class="said"' if "headline" in _tags(cell) else "")


def _first_words(source: str) -> str:
    """A cell's opening comment, or its first line."""
    line = source.strip().splitlines()[0]
    return line.lstrip("# ") if line.startswith("#") else line


def _outputs(cell) -> str:
    return "".join(f'<div class="output">{_output(output)}</div>' for output in cell.get("outputs", []))


def _output(output) -> str:
    if output.output_type == "stream":
        return f"<pre>{html.escape(_plain(output.text))}</pre>"
    if output.output_type == "error":
        # the traceback names paths of this machine, and the page must be the same on every one
        return f'<pre class="error">{html.escape(_plain(f"{output.ename}: {output.evalue}"))}</pre>'
    form = next((form for form in FORMS if form in output.data), None)
    return _show(form, output.data[form]) if form else ""


def _show(form: str, value: str) -> str:
    if form == "text/html":
        # only a table can be wider than the page: figures shrink to it, and passages break
        return scrolling(value, _named(value)) if "<table" in value else f'<div class="scroll">{value}</div>'
    if form == "text/markdown":
        return markdown(value)
    if form == "text/latex":
        return markdown(f"$${value.strip().strip('$')}$$")
    if form.startswith("image/"):
        content = value.encode() if form == "image/svg+xml" else base64.b64decode(value)
        return f'<img alt="figure" src="{data_uri(content, form)}">'
    return f"<pre>{html.escape(_plain(value))}</pre>"


def _named(shown: str) -> str:
    """What a table is called to those who do not see it: its caption's first part, cut at a word; or "table"."""
    found = re.search(r"<caption[^>]*>(.*?)</caption>", shown, re.DOTALL)
    caption = html.unescape(re.sub(r"<[^>]+>", "", found[1])).strip() if found else ""
    clause = re.split(r"[.;?!](?:\s|$)", caption, maxsplit=1)[0]
    return textwrap.shorten(clause, NAME_LENGTH, placeholder=" …") or "table"


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def _tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def _under_title(body: str, callout: str) -> str:
    head, title, rest = body.partition("</h1>")
    return f"{head}{title}\n{callout}{rest}" if title else callout + body


def _title(body: str) -> str:
    found = re.search(r"<h1[^>]*>(.*?)</h1>", body, re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", "", found.group(1))).strip() if found else ""


def _neighbours(name: str, names: list[str]) -> str:
    """Links to the index, to the page before and to the page after."""
    place = names.index(name)
    before, after = names[:place][-1:], names[place + 1 :][:1]
    links = [("index.html", "Contents")]
    links += [(f"{other}.html", f"← {other}") for other in before]
    links += [(f"{other}.html", f"{other} →") for other in after]
    return "".join(f'<a href="{address}">{text}</a>' for address, text in links)


def _formatter() -> HtmlFormatter:
    return HtmlFormatter(style="default", cssclass="highlight", nowrap=True)


def _code(source: str, lexer) -> str:
    # the empty span keeps a first line that is blank, which a browser leaves out right after <pre>
    coloured = f"<pre><span></span>{highlight(source, lexer, _formatter())}</pre>"
    return scrolling(coloured, kind="highlight scroll") + "\n"
