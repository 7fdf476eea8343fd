"""Settings: what params.yaml may say, and one-line errors that name the key and what is allowed."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import ValidationError

from lib import paths
from lib.arms import make_arms, with_labels
from lib.comparison import place, slug
from lib.config import declared_params, load_config, parse_config
from lib.errors import UserError
from lib.inputs import refuse_mistakes
from lib.planning import train_keys
from lib.settings import TaskName
from lib.students import all_students
from lib.tasks import TASKS

PROFILES = sorted((paths.ROOT / "params").glob("*.yaml"))


def params() -> dict:
    return yaml.safe_load(paths.PARAMS.read_text(encoding="utf-8"))


def changed(key: str, value) -> dict:
    """params.yaml with one key, "section.sub.key", set."""
    values = params()
    *sections, last = key.split(".")
    place = values
    for section in sections:
        place = place[section]
    place[last] = value
    return values


def refused(values) -> str:
    with pytest.raises(UserError) as error:
        parse_config(values, "params.yaml")
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_every_profile_is_valid_and_its_name_is_its_file(path):
    config = load_config(path)
    assert config.profile == path.stem
    refuse_mistakes(config)


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_every_profiles_findings_have_a_place_and_a_file_each(path):
    config = load_config(path)
    arms = with_labels(make_arms(config.train.arms, config.train), config.train.labels)
    placed = {slug(title): place(title, finding, arms) for title, finding in config.ablate.findings.items()}
    assert len(placed) == len(config.ablate.findings), "their figures would overwrite each other"


# those that start from scratch with arms of their own
SWEEPS = [path.stem for path in PROFILES if not path.stem.startswith(("default", "smoke", "svamp-recorded", "paper-"))]


@pytest.mark.parametrize("name", [*SWEEPS, "paper-pecotd"])
def test_a_sweep_shows_its_findings_and_uses_every_arm(name):
    config = load_config(paths.ROOT / "params" / f"{name}.yaml")
    shown = {arm for finding in config.ablate.findings.values() for arm in finding.arms}
    compared = {other for arm in config.train.arms.values() for other in arm.get("against", [])}
    alone = (
        config.train.arms.keys() - shown - compared - {arm for arm, d in config.train.arms.items() if "against" in d}
    )
    assert not alone
    assert len(config.train.seeds) == 3


@pytest.mark.parametrize("name", [name for name in SWEEPS if name != "selectors"])  # of whose arms three choose alike
def test_the_runs_that_a_sweep_announces_are_those_of_its_arms(name):
    """The comment at its top is what `make sweep` prints before it starts."""
    path = paths.ROOT / "params" / f"{name}.yaml"
    config = load_config(path)
    [announced] = re.findall(r"\((\d+)\s+(?:# )?runs: about", path.read_text(encoding="utf-8"))
    arms = with_labels(make_arms(config.train.arms, config.train), config.train.labels)
    assert int(announced) == len(arms) * len(config.train.seeds)


@pytest.mark.parametrize("name", ["default", "smoke", *SWEEPS])
def test_only_the_default_has_an_example_arm_in_05(name):
    """A sweep trains the runs that it announces, and no more."""
    notebook = json.loads((paths.ROOT / "notebooks" / "05_ablate.ipynb").read_text(encoding="utf-8"))
    [cell] = [cell for cell in notebook["cells"] if cell["id"] == "05-arms"]
    names = {"cfg": load_config(paths.ROOT / "params" / f"{name}.yaml")}
    exec("".join(cell["source"]), names)
    assert bool(names["ARMS"]) == (name in ("default", "smoke"))


@pytest.mark.parametrize(("sweep", "key"), [("teacher-errors", "flaw_rate"), ("verdicts", "verdict_reliability")])
def test_a_teachers_sweep_differs_in_its_value_alone(sweep, key):
    configs = [load_config(path) for path in PROFILES if path.stem.startswith(f"{sweep}-")]
    values = [getattr(config.teacher.simulated, key) for config in configs]
    assert [f"{sweep}-{round(100 * value):02}" for value in values] == [config.profile for config in configs]
    rest = [config.model_dump() | {"profile": None} for config in configs]
    for one in rest:
        del one["teacher"]["simulated"][key]
    assert len(rest) >= 4 and all(one == rest[0] for one in rest)


def test_params_yaml_is_the_default_profile_to_the_byte():
    assert paths.PARAMS.read_bytes() == (paths.ROOT / "params" / "default.yaml").read_bytes()


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        load_config().train.steps = 1


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("colour", "profile, task, tasks, data, teacher"),
        ("generate.rationals", "exemplars, temperature, max_tokens, rationales"),
        ("tasks.arithmetic.seeds.tests", "train, validation, test"),
        ("teacher.simulated.flaws", "seed, styles, flaw_rate"),
        ("train.lamda", "labels, seeds, lam, reduction"),
        ("teacher.prices.gpt-4o-mini.prmpt", "prompt, completion, batch"),
    ],
)
def test_an_unknown_key_is_refused_with_the_allowed_ones(key, allowed):
    message = refused(changed(key, 1))
    assert message.startswith(f"params.yaml: {key}: unknown key; allowed: ")
    assert allowed in message


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("task", "chess", "'arithmetic', 'coin_flip', 'last_letter', 'svamp', "),
        ("teacher.kind", "oracle", "'simulated', 'recorded' or 'openai' (given 'oracle')"),
        ("teacher.openai.key_variable", "sk-123", "(given 'sk-123')"),
        ("train.reduction", "sum", "'examples' or 'tokens' (given 'sum')"),
        ("train.labels", ["silver"], "'teacher' or 'gold' (given 'silver')"),
        ("train.unfed", "ignore", "'refuse' or 'skip' (given 'ignore')"),
        ("train.optimizer", "sgd", "'adafactor' or 'adamw' (given 'sgd')"),
        ("train.steps", "many", "valid integer"),
        ("train.steps", 1.5, "(given 1.5)"),
        ("train.steps", 0, "greater than or equal to 1 (given 0)"),
        ("train.seeds", 3, "valid list (given 3)"),
        ("train.lam", -0.1, "greater than or equal to 0 (given -0.1)"),
        ("train.learning_rate", 0, "greater than 0 (given 0)"),
        ("teacher.simulated.flaw_rate", 1.1, "less than or equal to 1 (given 1.1)"),
        ("tasks.arithmetic.operations", 3, "1 or 2 (given 3)"),
        ("data.validation_share", 1, "less than 1 (given 1)"),
        ("data.limits.train", 0, "greater than or equal to 1 (given 0)"),
        ("data.limits.validation", 1, "at least 2: the bootstrap cannot resample 1 question (given 1)"),
        ("data.limits.test", 1, "at least 2: the bootstrap cannot resample 1 question (given 1)"),
        ("data.limits.test", "all", "valid integer"),
        ("generate", None, "(given None)"),
        ("train.seeds", [], "at least 1 item"),
        ("train.seeds", [0, 0], "nothing may stand twice (given [0, 0])"),
        ("slc.strategies", [], "at least 1 item"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(key, value, said):
    message = refused(changed(key, value))
    assert message.startswith(f"params.yaml: {key}")
    assert said in message


def test_the_smallest_limits_are_allowed():
    smallest = {"train": 1, "validation": 2, "test": 2}
    assert parse_config(changed("data.limits", smallest), "params.yaml").data.limits.model_dump() == smallest


def test_the_tasks_that_may_be_named_are_those_there_are():
    assert sorted(get_args(TaskName)) == sorted(TASKS)


def test_a_key_that_stands_twice_is_refused_with_its_line(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("train:\n  arms:\n    1 CoT: {}\n    1 CoT: {lam: 1}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"twice.yaml:4: .*'1 CoT' stands twice"):
        load_config(path)


def test_a_folder_or_another_encoding_is_no_params_file(tmp_path):
    (tmp_path / "latin.yaml").write_bytes("profile: caf\xe9\n".encode("latin-1"))
    for path in (tmp_path, tmp_path / "latin.yaml"):
        with pytest.raises(UserError, match="cannot be read as text"):
            load_config(path)


def test_a_missing_key_is_named():
    values = params()
    del values["slc"]["keep"]
    assert refused(values) == "params.yaml: slc.keep: missing"


def test_several_mistakes_are_told_at_once():
    values = changed("train.stepz", 5) | {"task": "chess"}
    message = refused(values)
    assert "task: " in message
    assert "train.stepz: unknown key" in message


@pytest.mark.parametrize("values", [None, [], "default"])
def test_what_is_no_mapping_is_refused(values):
    assert f"given {values!r}" in refused(values)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"absent\.yaml: no such file"):
        load_config(tmp_path / "absent.yaml")


def test_broken_yaml_is_named_by_line(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("profile: default\ntask: [arithmetic\ntrain: 1\n")
    with pytest.raises(UserError, match=rf"{path}:3: not valid YAML: ") as error:
        load_config(path)
    assert "\n" not in str(error.value)


def test_a_path_may_be_given_for_what_users_bring():
    assert parse_config(changed("data.raw", "SVAMP.json"), "here").data.raw == Path("SVAMP.json")


def test_a_stage_sees_the_sections_it_declares_and_no_other():
    cfg = load_config(stage="generate")
    declared = declared_params("generate")
    assert "generate" in declared
    assert "train" not in declared
    assert cfg.generate == load_config().generate
    with pytest.raises(AttributeError, match="section 'train' is not declared for stage 'generate'") as error:
        _ = cfg.train
    assert ", ".join(declared) in str(error.value)


def test_an_unknown_stage_is_refused_with_those_there_are():
    with pytest.raises(UserError, match=r"no stage 'distil'; stages: .*generate.*train"):
        load_config(stage="distil")


# -- the papers' profiles ------------------------------------------------------------------------

MINDS_MIRROR = ("gpt-3.5-turbo", 5, 0.7, 5, "google/t5-v1_1-base", 3, 5e-5, 64)
PECOTD = ("meta-llama/Llama-2-7b-hf", 8, 0.9, 0, "google-t5/t5-large", 3, 6e-5, 32)
MORSD = ("gpt-3.5-turbo", 10, 0.7, 5, "google/flan-t5-base", 3, 5e-5, 64)
# profile: task and steps, then teacher, N, T, exemplars, student, seeds, learning rate, batch
PAPERS = {
    "paper-minds-mirror": ("svamp", 10000, *MINDS_MIRROR),
    "paper-minds-mirror-svamp": ("svamp", 300 * 720 // 64, *MINDS_MIRROR),
    "paper-minds-mirror-cqa": ("commonsense_qa", 10000, *MINDS_MIRROR),
    "paper-minds-mirror-anli": ("anli_r1", 10000, *MINDS_MIRROR),
    "paper-pecotd": ("svamp", 1000, *PECOTD),
    "paper-pecotd-single-eq": ("single_eq", 1000, *PECOTD),
    "paper-pecotd-add-sub": ("add_sub", 1000, *PECOTD),
    "paper-pecotd-multi-arith": ("multi_arith", 1000, *PECOTD),
    "paper-pecotd-gsm8k": ("gsm8k", 4200, *PECOTD),
    "paper-pecotd-svamp": ("svamp", 1000, *PECOTD),
    "paper-pecotd-date-understanding": ("date_understanding", 1000, *PECOTD),
    "paper-pecotd-last-letter": ("last_letter", 1000, *PECOTD),
    "paper-pecotd-coin-flip": ("coin_flip", 1000, *PECOTD),
    "paper-pecotd-commonsense-qa": ("commonsense_qa", 5480, *PECOTD),
    "paper-pecotd-strategy-qa": ("strategy_qa", 1000, *PECOTD),
    "paper-morsd": ("svamp", 1000, *MORSD),
    "paper-morsd-gsm8k": ("gsm8k", 6300, *MORSD),
    "paper-morsd-svamp": ("svamp", 1000, *MORSD),
    "paper-morsd-multi-arith": ("multi_arith", 1000, *MORSD),
    "paper-morsd-commonsense-qa": ("commonsense_qa", 8200, *MORSD),
    "paper-morsd-strategy-qa": ("strategy_qa", 1350, *MORSD),
    "paper-morsd-date-understanding": ("date_understanding", 1000, *MORSD),
    "paper-morsd-coin-flip": ("coin_flip", 1000, *MORSD),
}


def paper(name: str):
    return load_config(paths.ROOT / "params" / f"{name}.yaml")


def arms_of(config) -> dict:
    return {name: arm.recipe for name, arm in make_arms(config.train.arms, config.train).items()}


def test_every_profile_of_a_paper_is_in_the_table():
    assert {path.stem for path in PROFILES if path.stem.startswith("paper-")} == set(PAPERS)


@pytest.mark.parametrize("name", PAPERS)
def test_the_papers_numbers(name):
    c = paper(name)
    assert PAPERS[name] == (
        c.task,
        c.train.steps,
        c.teacher.openai.model,
        c.generate.rationales,
        c.generate.temperature,
        c.generate.exemplars,
        c.student.source,
        len(c.train.seeds),
        c.train.learning_rate,
        c.train.batch,
    )
    assert (c.teacher.kind, c.student.tokenizer, c.train.optimizer) == ("openai", c.student.source, "adamw")
    assert c.teacher.openai.model in c.teacher.prices
    assert c.slc.warmup_steps == 0, "a pretrained student scores as it is"
    assert (c.tasks.coin_flip.source, c.tasks.last_letter.source) == (
        "published" if c.task == "coin_flip" else "generated",
        "published" if c.task == "last_letter" else "generated",
    )


@pytest.mark.parametrize("name", [name for name in PAPERS if name.startswith("paper-minds-mirror")])
def test_minds_mirror_has_its_table_and_our_controls(name):
    c = paper(name)
    arms = arms_of(c)
    assert (c.self_eval.evaluations, c.self_eval.exemplars, c.train.lam) == (5, 5, 0.5)
    assert (c.student.max_source_tokens, c.student.max_target_tokens) == (1024, 256)
    assert c.train.labels == ["teacher", "gold"]
    assert not arms["standard"].explain
    table = {n: (arms[n].rationales, arms[n].evaluations) for n in ("1 CoT", "1 CoT w/ SE", "5 CoTs", "5 CoTs w/ SE")}
    assert list(table.values()) == [(1, 0), (1, 5), (5, 0), (5, 5)]
    assert {a.steps_of for a in arms.values()} > {"5 CoTs w/ SE"}
    assert {a.tokens_of for a in arms.values()} > {"5 CoTs", "5 CoTs w/ SE"}
    assert (arms["5 labels"].rationales, arms["5 labels"].explain, arms["majority label"].labels) == (
        5,
        False,
        "majority",
    )


def test_epochs_of_minds_mirror_on_svamp_as_steps():
    arms = arms_of(paper("paper-minds-mirror-svamp"))
    per_epoch = 720 / 64
    assert arms["standard"].steps == arms["1 CoT"].steps == 300 * per_epoch
    assert arms["5 CoTs"].steps == 60 * 5 * per_epoch
    assert arms["1 CoT w/ SE"].self_eval_steps == round(150 * 5 * per_epoch + 1e-9)
    assert arms["1 CoT w/ SE"].steps == 300 * per_epoch
    assert arms["5 CoTs w/ SE"].self_eval_steps == round(50 * 25 * per_epoch + 1e-9)
    assert arms["5 CoTs w/ SE"].steps == 80 * 5 * per_epoch


@pytest.mark.parametrize("name", [name for name in PAPERS if name.startswith("paper-pecotd")])
def test_pecotd_asks_a_base_model_and_compares_levels_of_slc(name):
    c = paper(name)
    openai = c.teacher.openai
    assert (openai.api, openai.base_url) == ("completions", "http://localhost:8000/v1")
    assert (c.teacher.prices[openai.model].prompt, c.teacher.prices[openai.model].completion) == (0, 0)
    levels = ["accurate | random", "accurate | slc_high", "accurate | slc_low"]
    assert (c.slc.strategies, c.slc.keep) == (levels, 1)
    learn = [a for a in arms_of(c).values() if a.explain]
    assert {a.format for a in learn} == {"rationale then answer"}
    of_one = {(a.student, a.select) for a in learn if a.rationales == 1 and not a.round}
    students = {"base": "t5-large", "t5-small": "t5-small", "t5-base": "t5-base"}
    students |= {"gpt2-small": "gpt2", "gpt2-medium": "gpt2-medium", "gpt2-large": "gpt2-large"}
    assert of_one == {(name, level) for name in students for level in levels}  # tables 1 and 2
    found = {name: own.source.split("/")[1] for name, own in all_students(c.student, c.students).items()}
    assert found == students
    assert all(own.source == own.tokenizer for own in all_students(c.student, c.students).values())


@pytest.mark.parametrize("name", [name for name in PAPERS if name.startswith("paper-pecotd")])
def test_pecotd_refines_in_rounds_of_100_and_learns_from_the_last(name):
    c = paper(name)
    refine = c.slc.refine
    assert (refine.rounds, refine.exemplars, refine.questions) == (3, 5, 100)
    assert refine.chains[0] == "slc_high" and {"random", "slc_low"} < set(refine.chains)
    refined = [a for a in arms_of(c).values() if a.round]
    assert {a.round for a in refined} == {3}, "earlier rounds ask about 100 questions only"
    assert {a.chain for a in refined} == set(refine.chains) and {a.student for a in refined} == {"base"}
    [title] = [title for title in c.ablate.findings if title.startswith("Three CoTs")]  # figure 5
    figure = [arms_of(c)[arm] for arm in c.ablate.findings[title].arms]
    assert [(a.rationales, a.round) for a in figure] == [(3, 0), (3, 0), (3, 3), (8, 0)]


@pytest.mark.parametrize("name", [name for name in PAPERS if name.startswith("paper-pecotd")])
def test_pecotd_sets_each_student_beside_labels_alone_of_equal_compute(name):
    c = paper(name)
    arms = make_arms(c.train.arms, c.train)
    for student in all_students(c.student, c.students):
        start = "" if student == "base" else f"{student}: "
        own, plain, matched = (
            arms[start + arm] for arm in ("random CoT", "standard", "standard, compute of random CoT")
        )
        assert {arm.recipe.student for arm in (own, plain, matched)} == {student}
        assert {plain.name, matched.name} <= set(own.against)
        assert (plain.recipe.explain, matched.recipe.explain, matched.recipe.tokens_of) == (False, False, own.name)


@pytest.mark.parametrize("student", ["base", "t5-small", "t5-base"])
def test_pecotd_has_three_clustered_and_all_eight_for_each_t5(student):
    c = paper("paper-pecotd-commonsense-qa")
    start = "" if student == "base" else f"{student}: "
    clustered, best, every = (arms_of(c)[start + arm] for arm in ("3 CoTs, clustered", "3 CoTs, highest SLC", "8 CoTs"))
    assert {arm.student for arm in (clustered, best, every)} == {student}
    assert [arm.rationales for arm in (clustered, best, every)] == [3, 3, 8]
    assert (clustered.select, every.select) == ("accurate | diversity(3, 1)", "accurate")


@pytest.mark.parametrize("name", [name for name in PAPERS if name.startswith("paper-morsd")])
def test_morsd_selects_six(name):
    c = paper(name)
    assert (c.slc.keep, c.slc.rd_target, c.train.labels) == (6, "gold", ["gold"])
    selects = {a.select for a in arms_of(c).values() if a.explain and a.rationales == 6}
    assert selects == {"morsd", "rd_low", "rd_high", "random"}


# -- docs/teachers.md ----------------------------------------------------------------------------

TEACHERS = (paths.ROOT / "docs" / "teachers.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"(?ms)^## ([^\n]+)\n(.*?)(?=^## |\Z)", TEACHERS))
SERVICES = ("OpenAI", "vLLM", "Ollama", "llama.cpp", "transformers serve")


def test_each_service_has_one_block_of_settings():
    blocks = {name: text.count("```yaml") for name, text in SECTIONS.items()}
    assert blocks == {"Before, during, after": 0, **dict.fromkeys(SERVICES, 1)}


@pytest.mark.parametrize("service", SERVICES)
def test_the_block_of_a_service_is_valid_over_the_default(service, tmp_path):
    block = re.search(r"```yaml\n(.*?)```", SECTIONS[service], re.DOTALL).group(1)
    path = tmp_path / "block.yaml"
    path.write_text(f"extends: default\nprofile: block\n{block}", encoding="utf-8")
    teacher = load_config(path).teacher
    assert teacher.kind == "openai"
    assert teacher.openai.model in yaml.safe_load(block)["teacher"]["prices"]
    assert (teacher.openai.base_url is None) == (service == "OpenAI")
    assert teacher.openai.base_url is None or teacher.openai.base_url.endswith("/v1")


# -- sweeps that share runs ----------------------------------------------------------------------


def test_the_base_student_of_student_size_learns_what_sweeps_taught_it():
    """All that is in a run's id is the same, so that `make sweep` takes the runs over."""
    sizes, sweeps = (load_config(paths.ROOT / "params" / f"{name}.yaml") for name in ("student-size", "sweeps"))
    for section in ("task", "tasks", "data", "teacher", "generate", "self_eval", "student", "slc"):
        assert getattr(sizes, section) == getattr(sweeps, section), section
    assert train_keys(sizes.train) == train_keys(sweeps.train) and sizes.train.seeds == sweeps.train.seeds
    own, others = (make_arms(config.train.arms, config.train) for config in (sizes, sweeps))
    for name in ("standard", "1 CoT", "5 CoTs", "5 CoTs w/ SE"):
        assert own[f"base: {name}"].recipe == others[name].recipe, name
