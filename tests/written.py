"""A patched repository with small reports that say what a test wants: for lib/contents and lib/report."""

import json
import shutil
from pathlib import Path

from lib import contents, paths

HOSTILE = '<script>alert(1)</script><img src="http://example.org/x.png" onerror="alert(2)">'
SVG = '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{}"></svg>'
TABLE = "| arm | accuracy |\n|---|---|\n| {} | 80.0 |\n"


def repository_at(root: Path, monkeypatch) -> Path:
    """`root`, to which lib/paths and lib/contents are patched; `write_reports` fills it."""
    reports = root / "reports"
    shutil.copy(paths.ROOT / "dvc.yaml", root)
    monkeypatch.setattr(paths, "ROOT", root)
    monkeypatch.setattr(paths, "REPORTS", reports)
    monkeypatch.setattr(paths, "FIGURES", reports / "figures")
    monkeypatch.setattr(paths, "TABLES", reports / "tables")
    places = {"INDEX": "index.html", "BROWSER": "browser.html"}
    places |= {"HEADLINE_TABLE": "tables/05_ablate/arms.md", "HEADLINE_FIGURE": "figures/05_ablate/main.svg"}
    for name, place in places.items():
        monkeypatch.setattr(contents, name, reports / place)
        (reports / place).parent.mkdir(parents=True, exist_ok=True)
    (reports / "metrics").mkdir()
    return root


def write_reports(
    headline="It **helped**.", profile="default", arm="5 CoTs", alternative="Bars.", title="What helped?", **numbers
):
    for name in ("04_train", contents.HEADLINE):
        (paths.REPORTS / f"{name}.html").write_text(f"<html><title>{title}</title></html>", encoding="utf-8")
        (paths.REPORTS / "metrics" / f"{name}.json").write_text(
            json.dumps({"headline": headline, "profile": profile, **numbers})
        )
    contents.HEADLINE_TABLE.write_text(TABLE.format(arm), encoding="utf-8")
    contents.HEADLINE_TABLE.with_name("comparisons.csv").write_text("arm,against,verdict\n", encoding="utf-8")
    contents.HEADLINE_FIGURE.write_text(SVG.format(alternative), encoding="utf-8")
