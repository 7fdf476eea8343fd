"""What docs/ and README say is there: links, make targets, settings, functions, messages; and the commands work.

Blocks of commands (```bash) are executed by a slow test, but for those below `<!-- needs ... -->`.
"""

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest
import yaml

from lib import paths
from lib.config import load_config
from lib.estimate import Estimate, Questions, planned, sum_of
from lib.tasks import TASKS

PAGES = [paths.ROOT / "README.md", *sorted((paths.ROOT / "docs").glob("*.md"))]
WRITTEN = [page for page in PAGES if page.name != "LOG.md"]  # the log tells of what was
IDS = [page.name for page in PAGES]
ROUNDABOUT = ["method.md", "reading.md", "costs.md", "troubleshooting.md", "glossary.md", "responsible.md", "extend.md"]
ROUNDABOUT += ["dvc.md", "teachers.md"]
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
COMMANDS = re.compile(r"^(?:<!-- (?P<needs>needs [^>]+?) -->\n)?```bash\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def links(page: Path) -> list[tuple[str, str]]:
    """(text, target) of its relative links."""
    found = LINK.findall(FENCED.sub("", text_of(page)))
    return [(said, target) for said, target in found if not re.match(r"https?:|mailto:", target)]


def spans(page: Path) -> list[str]:
    """Its code spans; fenced blocks are left out."""
    return re.findall(r"`([^`\n]+)`", FENCED.sub("", text_of(page)))


def notebook_sources() -> list[str]:
    """The code of every cell of every notebook."""
    pages = sorted((paths.ROOT / "notebooks").glob("*.ipynb"))
    cells = [cell for page in pages for cell in json.loads(text_of(page))["cells"]]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


# -- links -----------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The anchors that its headings make on GitHub."""
    heads = re.findall(r"^#+ (.+)$", FENCED.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_relative_links_lead_somewhere(page):
    for said, target in links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: [{said}]({target})"
        assert not anchor or anchor in anchors(file), f"{page.name}: no heading {anchor!r} in {file.name}"


def test_every_page_is_linked_from_the_readme():
    linked = {Path(target).name for _, target in links(paths.ROOT / "README.md")}
    linked |= {Path(name).name for name in re.findall(r"docs/\w+\.md", text_of(paths.ROOT / "README.md"))}
    assert {page.name for page in PAGES[1:]} <= linked


def test_the_pages_are_all_there():
    assert {*ROUNDABOUT, "LOG.md"} <= {page.name for page in PAGES}


# -- what is named ---------------------------------------------------------------------------------


def defined(file: Path) -> set[str]:
    """The names at the top of a module, and the fields and methods of its classes."""
    tree = ast.parse(text_of(file))
    inner = [node for one in tree.body if isinstance(one, ast.ClassDef) for node in one.body]
    return {name for node in [*tree.body, *inner] for name in _names(node)}


def _names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    yield from (target.id for target in targets if isinstance(target, ast.Name))


@pytest.mark.parametrize("page", WRITTEN, ids=[page.name for page in WRITTEN])
def test_functions_linked_by_name_are_defined_there(page):
    """[losses.mean_by_row](../lib/losses.py)"""
    for said, target in links(page):
        named = re.fullmatch(r"(\w+)\.(\w+)", said.strip("`"))
        if named and target.endswith(".py"):
            module, name = named.groups()
            assert module in (Path(target).stem, Path(target).parent.name), f"{page.name}: [{said}]({target})"
            assert name in defined(page.parent / target), f"{page.name}: {target} defines no {name}"


def test_method_links_its_equations_to_functions():
    assert sum(target.endswith(".py") for _, target in links(paths.ROOT / "docs" / "method.md")) > 40


@pytest.mark.parametrize("page", WRITTEN, ids=[page.name for page in WRITTEN])
def test_make_targets_exist(page):
    targets = set(re.findall(r"^([a-z-]+):", text_of(paths.ROOT / "Makefile"), re.MULTILINE))
    said = set(re.findall(r"(?:^ *|[`;&] ?|\n)make ((?!-)[a-z-]+)\b", text_of(page)))
    assert said - {"it", "of"} <= targets, page.name


def settings() -> set[str]:
    """Every dotted path of params/default.yaml, sections included; names below an open mapping are anybody's."""
    found: set[str] = set()

    def walk(values: dict, at: str) -> None:
        for key, value in values.items():
            found.add(f"{at}{key}")
            if isinstance(value, dict):
                walk(value, f"{at}{key}.")

    walk(yaml.safe_load(text_of(paths.ROOT / "params" / "default.yaml")), "")
    return found


@pytest.mark.parametrize("page", WRITTEN, ids=[page.name for page in WRITTEN])
def test_settings_named_in_code_spans_exist(page):
    known = settings()
    sections = {key for key in known if "." not in key}
    for span in spans(page):
        for key in re.findall(r"(?<![\w/.-])([a-z_]+(?:\.[a-z_]+)+)(?![\w(/])", span):
            if key.split(".")[0] in sections and not key.endswith((".py", ".md", ".yaml", ".jsonl", ".json", ".html")):
                open_mapping = key.startswith(("teacher.prices.", "students.", "train.arms.", "ablate.findings."))
                assert key in known or open_mapping, f"{page.name}: no setting {key!r}"


@pytest.mark.parametrize("page", WRITTEN, ids=[page.name for page in WRITTEN])
def test_paths_named_in_code_spans_exist(page):
    """Of what is in Git; what a command makes (data/, scratch/) and patterns are left alone."""
    for span in spans(page):
        if re.fullmatch(r"(?:lib|notebooks|params|tests|benchmarks|docs)/[\w./-]+", span):
            assert (paths.ROOT / span).exists() or span in MADE, f"{page.name}: {span}"


MADE = {"params/sums.yaml", "params/terse.yaml", "params/crates.yaml"}  # by the edits of docs/extend.md


def test_profiles_named_exist():
    there = {path.stem for path in (paths.ROOT / "params").glob("*.yaml")} | {Path(name).stem for name in MADE}
    for page in WRITTEN:
        assert set(re.findall(r"\bP=([a-z][a-z0-9-]*)", text_of(page))) - {"name"} <= there, page.name


def test_every_table_that_a_notebook_saves_is_explained():
    """Under its file's name, in docs/reading.md, as *name*."""
    page = text_of(paths.ROOT / "docs" / "reading.md")
    names = {
        node.args[1].value
        for source in notebook_sources()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "save_table"
        if isinstance(node.args[1], ast.Constant)
    }
    assert len(names) > 20
    assert [name for name in sorted(names) if f"*{name}*" not in page] == []


# -- numbers ---------------------------------------------------------------------------------------


def table_after(page: str, heading: str) -> list[list[str]]:
    """The cells of the table whose head begins so."""
    lines = text_of(paths.ROOT / "docs" / page).splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith(heading)) + 2
    rows = takewhile(lambda line: line.startswith("|"), lines[first:])
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def planned_cost(task="svamp", n=1, model="gpt-3.5-turbo", mode="live", evaluations=5, exemplars=5) -> Estimate:
    """Of n training questions by the settings of Mind's Mirror, as lib/estimate.py has it."""
    config = load_config("params/paper-minds-mirror-svamp.yaml")
    with_model = config.teacher.openai.model_copy(update={"model": model})
    teacher = config.teacher.model_copy(update={"mode": mode, "openai": with_model})
    generate = config.generate.model_copy(update={"exemplars": exemplars})
    self_eval = config.self_eval.model_copy(update={"exemplars": exemplars, "evaluations": evaluations})
    changed = {"task": task, "teacher": teacher, "generate": generate, "self_eval": self_eval}
    questions = Questions({"train": n, "validation": 0, "test": 0}, TASKS[task].data_set.characters, "counted")
    return sum_of(planned(config.model_copy(update=changed), questions))


def test_tokens_of_a_question_are_the_estimates():
    rows = table_after("costs.md", "| task, settings |")
    for task, *said in rows:
        found = planned_cost(task.split(",")[0])
        assert said == [f"{n:,}" for n in (found.calls, found.prompt_tokens, found.completion_tokens)]
    assert len(rows) == 2


def test_money_is_the_estimates():
    rows = table_after("costs.md", "| training questions |")
    for questions, *said in rows:
        one, other = (
            planned_cost(n=int(questions.replace(",", "")), model=m) for m in ("gpt-3.5-turbo", "gpt-4o-mini")
        )
        tokens = [f"{n:,}" for n in (one.calls, one.prompt_tokens, one.completion_tokens)]
        assert said == [*tokens, *(f"{m:,.2f}" for e in (one, other) for m in (e.money, e.money_at_most))]
    assert [row[0] for row in rows] == ["1,000", "100,000", "10,000,000"]


def test_savings_are_the_estimates():
    changes = [{}, {"mode": "batch"}, {"evaluations": 1}, {"exemplars": 1}]
    changes += [{"mode": "batch", "evaluations": 1, "exemplars": 1}, {"evaluations": 0}]
    said = [money for _, money in table_after("costs.md", "| change |")]
    assert said == [f"{planned_cost(n=100_000, **change).money:,.2f}" for change in changes]


def test_bytes_add_up():
    *rows, total = table_after("costs.md", "| what | rows a question |")
    numbers = [[int(cell.replace(",", "")) for cell in row[1:]] for row in rows]
    assert all(count * each == of_all for count, each, of_all in numbers)
    assert int(total[-1].replace(",", "")) == sum(of_all for *_, of_all in numbers)


# -- messages --------------------------------------------------------------------------------------


def templates() -> set[str]:
    """Every string of lib/ and of the notebooks, with … for what is put in."""
    sources = [text_of(path) for path in sorted((paths.ROOT / "lib").rglob("*.py"))] + notebook_sources()
    return {_template(node) for source in sources for node in ast.walk(ast.parse(source)) if _is_text(node)}


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _template(node: ast.JoinedStr | ast.Constant) -> str:
    if isinstance(node, ast.Constant):
        return node.value
    return "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)


def messages() -> list[str]:
    page = text_of(paths.ROOT / "docs" / "troubleshooting.md")
    return [said.strip("`") for said in re.findall(r"^> (`.+`)$", page, re.MULTILINE)]


@pytest.fixture(scope="module")
def said_by_the_code() -> set[str]:
    return templates()


def test_there_are_messages_to_look_for():
    assert len(messages()) > 30


@pytest.mark.parametrize("message", messages())
def test_messages_are_those_of_the_code(message, said_by_the_code):
    pattern = re.compile(".*".join(map(re.escape, message.split("…"))))
    assert any(pattern.search(text) for text in said_by_the_code), message


# -- commands --------------------------------------------------------------------------------------


def commands() -> list[tuple[str, str]]:
    """(page, block) of all blocks of commands that need nothing but the repository."""
    return [
        (page.name, found["text"])
        for page in WRITTEN
        for found in COMMANDS.finditer(text_of(page))
        if not found["needs"]
    ]


def test_blocks_of_commands_are_found():
    assert commands()


@pytest.mark.slow
@pytest.mark.parametrize("page, block", commands())
def test_commands_work(page, block, reproduced_copy):
    """In a copy in which the pipeline ran on the smallest scale; a block may rely on what its page did before."""
    done = reproduced_copy(page).run("bash", "-euo", "pipefail", "-c", block)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.fixture(scope="module")
def reproduced_copy(tmp_path_factory):
    """Page -> its own copy of a clone of the profile smoke, reproduced; made when first asked for."""
    from test_pipeline import Clone, scratch_clone

    clone, copies = scratch_clone(tmp_path_factory.mktemp("docs") / "clone"), {}
    done = clone.run("dvc", "repro")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    identity = [("config", f"user.{key}", value) for key, value in (("name", "test"), ("email", "test@localhost"))]
    for command in (*identity, ("add", "-A"), ("commit", "-qm", "Smoke")):  # an experiment is a commit, too
        subprocess.run(["git", *command], cwd=clone.folder, check=True)

    def copy(page: str) -> Clone:
        if page not in copies:
            folder = tmp_path_factory.mktemp(page.removesuffix(".md")) / "clone"
            subprocess.run(["cp", "-a", str(clone.folder), str(folder)], check=True)
            copies[page] = Clone(folder)
        return copies[page]

    return copy
