"""Does dvc.yaml declare what each notebook really uses? An undeclared dependency is a result that silently goes stale.

    python -m lib.stages        # prints what is missing or too much, one line each; nothing when all is well

A stage depends on its notebook and the runner, or its module, on every file of lib/ that these import, directly or
not, on the data files it names through lib.paths, and on the sections of params.yaml it reads as `cfg.<section>`.
A file in lib/ that is not Python belongs to the module it is named after: lib/a/prompts/x.txt to lib/a/prompts.py.
"""

import ast
import json
import sys
from collections.abc import Iterable
from pathlib import Path

import yaml

from lib import paths

ROOT = paths.ROOT
RUNNER = "lib/notebook.py"
# Sections of params.yaml that may name files outside the repository; lib/inputs.py says what is in them.
WITH_INPUTS = ("data", "student", "teacher")
CODE = ("lib/", "notebooks/")


def differences() -> list[str]:
    """One line for each file or section that dvc.yaml lacks or names in vain, over all stages."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return [line for name, stage in stages.items() for line in _differences_of(name, stage)]


def notebook_of(stage: dict) -> Path | None:
    """The notebook that a stage's command runs, if it runs one."""
    words = stage["cmd"].split()
    return ROOT / "notebooks" / f"{words[3]}.ipynb" if words[:3] == ["python", "-m", "lib.notebook"] else None


def needed_code(start: Path) -> set[str]:
    """The files of lib/ that a notebook or module needs, transitively, as paths from the repository's root."""
    found, waiting = set(), list(_imports(source_of(start)))
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += _imports((ROOT / module).read_text(encoding="utf-8"))
    return found | {file for module in found for file in _belongings(module)}


def used_sections(source: str) -> list[str]:
    """The sections that code reads as `cfg.<section>`, sorted."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)]
    return sorted({node.attr for node in nodes if _is_name(node.value, "cfg")})


def bare_config(source: str) -> list[int]:
    """Lines where `cfg` is handed on whole, so that nobody can see which sections are used."""
    tree = ast.parse(source)
    inside = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    loads = [node for node in ast.walk(tree) if _is_name(node, "cfg") and isinstance(node.ctx, ast.Load)]
    return [node.lineno for node in loads if id(node) not in inside]


def named_data(source: str) -> set[str]:
    """The files and folders under data/ that code names as `paths.<NAME>`, as paths from the repository's root."""
    attributes = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Attribute) and _is_name(n.value, "paths")]
    values = [getattr(paths, node.attr) for node in attributes]
    return {str(v.relative_to(ROOT)) for v in values if isinstance(v, Path) and paths.DATA in v.parents}


def source_of(path: Path) -> str:
    """The Python text of a module, or of a notebook's code cells."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return text
    cells = json.loads(text)["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return "\n".join(line for cell in code for line in cell.splitlines() if not line.lstrip().startswith(("%", "!")))


def _differences_of(name: str, stage: dict) -> list[str]:
    notebook = notebook_of(stage)
    code = notebook or ROOT / (stage["cmd"].split()[2].replace(".", "/") + ".py")
    if not code.exists():
        return [f"{name}: no {'notebook' if notebook else 'module'} {code.relative_to(ROOT)}"]
    source = source_of(code)
    sections, inputs = _declared_params(stage)
    lines = _compare(name, "dep", _needed(code), {f for f in _expand(stage["deps"]) if f.startswith(CODE)})
    lines += _compare(name, "param", set(used_sections(source)), sections)
    lines += _compare(name, "param of inputs.lock", sections & set(WITH_INPUTS), inputs)
    lines += _differences_of_data(name, stage, named_data(source))
    return lines + [f"{name}: cfg is handed on whole in code line {n}; name a section" for n in bare_config(source)]


def _needed(code: Path) -> set[str]:
    """The code that a stage runs: its notebook with the runner, or its module, and all that they import."""
    runner = {RUNNER} | needed_code(ROOT / RUNNER) if code.suffix == ".ipynb" else set()
    return {str(code.relative_to(ROOT))} | needed_code(code) | runner


def _differences_of_data(name: str, stage: dict, named: set[str]) -> list[str]:
    deps = {dep for dep in stage["deps"] if dep.startswith("data/")}
    outs = {path for path, _ in _outputs(stage)}
    lines = [f"{name}: {path} is neither a dep nor an out" for path in sorted(named - deps - outs)]
    return lines + [f"{name}: unused dep {path}" for path in sorted(deps - named)]


def _compare(stage: str, what: str, needed: set[str], declared: set[str]) -> list[str]:
    missing = [f"{stage}: missing {what} {item}" for item in sorted(needed - declared)]
    return missing + [f"{stage}: unused {what} {item}" for item in sorted(declared - needed)]


def _declared_params(stage: dict) -> tuple[set[str], set[str]]:
    """The sections declared of params.yaml, and those of inputs.lock."""
    plain = {item for item in stage.get("params", []) if isinstance(item, str)}
    inputs = [item["inputs.lock"] for item in stage.get("params", []) if isinstance(item, dict)]
    return plain, {section for sections in inputs for section in sections}


def _outputs(stage: dict) -> Iterable[tuple[str, dict]]:
    """A stage's outs and metrics with their options."""
    for item in stage.get("outs", []) + stage.get("metrics", []):
        yield next(iter(item.items())) if isinstance(item, dict) else (item, {})


def _expand(declared: list[str]) -> Iterable[str]:
    """Declared dependencies with a folder standing for every file in it."""
    for item in declared:
        path = ROOT / item
        yield from (_files_in(path) if path.is_dir() and item.startswith("lib/") else [item])


def _files_in(folder: Path) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return [str(path.relative_to(ROOT)) for path in files]


def _imports(source: str) -> set[str]:
    """The files of lib/ that code imports itself, with the packages they are in."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {file for name in names if name.split(".")[0] == "lib" for file in _files_of(name)}


def _files_of(name: str) -> Iterable[str]:
    """The file of a module and the __init__.py of each package above it; nothing for a name that is no module."""
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        for candidate in ("/".join(parts[:depth]) + ".py", "/".join(parts[:depth]) + "/__init__.py"):
            if (ROOT / candidate).exists():
                yield candidate


def _belongings(module: str) -> list[str]:
    """The files that are not Python and are named after a module: beside it, or in a folder of its name."""
    stem = (ROOT / module).with_suffix("")
    beside = [path for path in stem.parent.glob(f"{stem.name}.*") if path.suffix not in {".py", ".pyc"}]
    within = [path for path in stem.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}]
    return [str(path.relative_to(ROOT)) for path in beside + within]


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


if __name__ == "__main__":
    problems = differences()
    print("\n".join(f"dvc.yaml: {line}" for line in problems), end="\n" if problems else "")
    sys.exit(bool(problems))
