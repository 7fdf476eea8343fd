"""Where each stage reads and writes, relative to the repository's root.

from lib import paths
paths.RATIONALES            # <root>/data/01_generate/rationales.jsonl
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARAMS = ROOT / "params.yaml"
DATA = ROOT / "data"
REPORTS = ROOT / "reports"
FIGURES = REPORTS / "figures"
TABLES = REPORTS / "tables"
# Never tracked: runs under way, timings, interactive work. Safe to delete at any time.
SCRATCH = ROOT / "scratch"

GENERATE = DATA / "01_generate"
QUESTIONS = GENERATE / "questions.jsonl"
RATIONALES = GENERATE / "rationales.jsonl"
GENERATE_FAILURES = GENERATE / "failures.jsonl"
GENERATE_STORE = GENERATE / "store.jsonl"

SELF_EVAL = DATA / "02_self_eval"
EVALUATIONS = SELF_EVAL / "evaluations.jsonl"
SELF_EVAL_FAILURES = SELF_EVAL / "failures.jsonl"
SELF_EVAL_STORE = SELF_EVAL / "store.jsonl"

SLC = DATA / "03_slc"
SCORES = SLC / "scores.jsonl"
SELECTIONS = SLC / "selections.jsonl"
REFINED = SLC / "refined.jsonl"
SLC_FAILURES = SLC / "failures.jsonl"
SLC_STORE = SLC / "store.jsonl"

TRAIN = DATA / "04_train"
RUNS = TRAIN / "runs"
HEADLINE_STUDENT = TRAIN / "headline_student"

ABLATE = DATA / "05_ablate"
ABLATE_RUNS = ABLATE / "runs"
INFERENCE = ABLATE / "inference"
