"""A changed file outside the repository changes inputs.lock; a missing one is a one-line error."""

import shutil
import subprocess
import sys

import pytest
import yaml

from lib import inputs, paths
from lib.config import parse_config
from lib.errors import UserError

NOTHING = "data: none\nstudent: none\nteacher: none\n"


@pytest.fixture(autouse=True)
def lock(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "LOCK", tmp_path / "inputs.lock")
    return inputs.LOCK


@pytest.fixture
def questions(tmp_path):
    path = tmp_path / "questions.json"
    path.write_text("[1]", encoding="utf-8")
    return path


def config(task="arithmetic", raw=None, kind="simulated", recorded=None, tokenizer="words", source="scratch", **more):
    values = yaml.safe_load(paths.PARAMS.read_text(encoding="utf-8"))
    values["task"], values["data"]["raw"] = task, raw and str(raw)
    values["data"]["revision"] = more.get("revision")
    values["tasks"]["coin_flip"]["source"] = more.get("coins", "generated")
    values["teacher"]["kind"], values["teacher"]["recorded"]["path"] = kind, recorded and str(recorded)
    values["student"] |= {"tokenizer": str(tokenizer), "source": str(source)}
    values["students"] = more.get("students", {})
    return parse_config(values, "params.yaml")


def sections(lock) -> dict[str, str]:
    return yaml.safe_load(lock.read_text(encoding="utf-8"))


def test_without_files_each_section_says_none(lock):
    inputs.write_lock(config())
    assert lock.read_text(encoding="utf-8") == inputs.HEADER + NOTHING


def test_file_is_known_by_its_content(lock, questions):
    inputs.write_lock(config("svamp", questions))
    first = sections(lock)
    assert first["data"].startswith("sha256 ") and len(first["data"]) == len("sha256 ") + 64
    assert (first["teacher"], first["student"]) == ("none", "none")

    questions.write_text("[2]", encoding="utf-8")
    inputs.write_lock(config("svamp", questions))
    assert sections(lock)["data"] != first["data"]


def test_lock_is_untouched_while_nothing_changes(lock, questions):
    inputs.write_lock(config("svamp", questions))
    before = lock.stat()
    questions.touch()
    inputs.write_lock(config("svamp", questions))
    assert (lock.stat().st_mtime_ns, lock.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_file_may_lie_elsewhere(lock, questions, tmp_path):
    """Equal content is equal, wherever it lies: another machine has other paths."""
    inputs.write_lock(config("svamp", questions))
    first = sections(lock)
    inputs.write_lock(config("svamp", shutil.copy(questions, tmp_path / "moved.json")))
    assert sections(lock) == first


def test_file_that_is_not_used_does_not_count(lock, questions):
    inputs.write_lock(config("arithmetic", raw=questions, kind="simulated", recorded=questions))
    assert lock.read_text(encoding="utf-8").endswith(NOTHING)


def test_folder_counts_with_its_names(lock, tmp_path):
    tokenizer = tmp_path / "tokenizer"
    tokenizer.mkdir()
    (tokenizer / "a.json").write_text("1")
    inputs.write_lock(config(tokenizer=tokenizer))
    first = sections(lock)["student"]
    (tokenizer / "a.json").rename(tokenizer / "b.json")
    inputs.write_lock(config(tokenizer=tokenizer))
    assert "none" != sections(lock)["student"] != first


@pytest.mark.parametrize("key", ["source", "tokenizer"])
def test_folders_of_further_students_count(lock, tmp_path, key):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text("1")
    students = {"small": {"d_model": 32}, "other": {key: str(folder)}}
    inputs.write_lock(config(students=students))
    first = sections(lock)["student"]
    (folder / "config.json").write_text("2")
    inputs.write_lock(config(students=students))
    assert "none" != sections(lock)["student"] != first
    inputs.write_lock(config(students={"small": {"d_model": 32, key: "some/name"}}))
    assert sections(lock)["student"] == "none"


def test_name_on_the_hub_is_no_file(lock):
    inputs.write_lock(config(tokenizer="some/name", source="some/name"))
    assert lock.read_text(encoding="utf-8").endswith(NOTHING)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"task": "gsm8k"}, "hub openai/gsm8k newest"),
        ({"task": "gsm8k", "revision": "abc123"}, "hub openai/gsm8k abc123"),
        ({"task": "coin_flip", "coins": "published"}, "hub skrishna/coin_flip newest"),
        ({"task": "coin_flip", "revision": "abc123"}, "none"),
    ],
)
def test_data_set_on_the_hub_is_known_by_its_revision(lock, settings, line):
    inputs.write_lock(config(**settings))
    assert sections(lock)["data"] == line


def test_published_coin_flips_are_read_from_their_file(lock, questions):
    inputs.write_lock(config("coin_flip", questions, coins="published"))
    first = sections(lock)["data"]
    inputs.write_lock(config("coin_flip", questions))
    assert first.startswith("sha256 ") and sections(lock)["data"] == "none"


def test_data_set_that_is_not_on_the_hub_must_be_given(lock):
    with pytest.raises(UserError, match=r"data\.raw: not set, and no whole copy of AddSub on the hub is known"):
        inputs.write_lock(config("add_sub"))
    assert not lock.exists()


@pytest.mark.parametrize(
    ("section", "settings"),
    [
        ("data", {"task": "svamp", "raw": "/no/questions"}),
        ("teacher", {"kind": "recorded", "recorded": "/no/teacher"}),
    ],
)
def test_missing_file_is_named(lock, section, settings):
    with pytest.raises(UserError) as error:
        inputs.write_lock(config(**settings))
    assert str(error.value) == f"params.yaml: {section}: no such file: {settings.get('raw') or settings['recorded']}"
    assert not lock.exists()


def test_missing_file_is_one_line_on_the_command_line(tmp_path):
    shutil.copytree(paths.ROOT / "lib", tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    text = paths.PARAMS.read_text(encoding="utf-8")
    text = text.replace("task: arithmetic", "task: svamp").replace("raw: null", "raw: gone.json")
    (tmp_path / "params.yaml").write_text(text)
    result = subprocess.run(
        [sys.executable, "-m", "lib.inputs"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1 and result.stdout == ""
    assert result.stderr == "error: params.yaml: data: no such file: gone.json\n"


def test_what_a_later_stage_would_refuse_is_refused_at_once():
    good = config()
    inputs.refuse_mistakes(good)
    chains = good.slc.refine.model_copy(update={"chains": ["slc_hgih"]})
    for slc, key in (({"strategies": ["slc_hgih"]}, "strategies"), ({"refine": chains}, "refine.chains")):
        wrong = good.model_copy(update={"slc": good.slc.model_copy(update=slc)})
        with pytest.raises(UserError, match=rf"params.yaml: slc.{key}: .*slc_hgih.*slc_high"):
            inputs.refuse_mistakes(wrong)
    train = good.train.model_copy(update={"arms": {"mine": {"rationals": 2}}})
    with pytest.raises(UserError, match=r"params\.yaml: train\.arms: 'mine': unknown key 'rationals'"):
        inputs.refuse_mistakes(good.model_copy(update={"train": train}))


def mistaken(arm: dict | None = None, **settings) -> str:
    """What is said of params.yaml with these settings, "section.key" as "section__key", and an arm "mine" added."""
    values = yaml.safe_load(paths.PARAMS.read_text(encoding="utf-8"))
    values["slc"]["refine"] |= {"rounds": 2, "rationales": 3}
    values["students"] = {"small": {"d_model": 32}}
    values["train"]["arms"]["mine"] = arm or {}
    for name, value in settings.items():
        *sections, key = name.split("__")
        place = values
        for section in sections:
            place = place[section]
        place[key] = value
    try:
        inputs.refuse_mistakes(parse_config(values, "params.yaml"))
    except UserError as error:
        return str(error)
    return ""


INSTEAD = "; ask for more, or set train.unfed: skip"
CHAINS = "'slc_high', 'random', 'slc_low', 'slc_high, imitation off'"


@pytest.mark.parametrize(
    ("arm", "said"),
    [
        ({"student": "tiny"}, "student: no student 'tiny'; students: base, small"),
        ({"scorer": "tiny"}, "scorer: no student 'tiny'; students: base, small"),
        ({"round": 1}, f"chain: slc.refine makes no chain ''; chains: {CHAINS}"),
        ({"chain": "rd_low", "round": 1}, f"chain: slc.refine makes no chain 'rd_low'; chains: {CHAINS}"),
        ({"chain": "random", "round": 3}, f"round: 3, but slc.refine.rounds is 2{INSTEAD}"),
        ({"chain": "random", "round": 2, "rationales": 4}, f"rationales: 4, but slc.refine.rationales is 3{INSTEAD}"),
        ({"rationales": 6}, f"rationales: 6, but generate.rationales is 5{INSTEAD}"),
        ({"evaluations": 6}, f"evaluations: 6, but self_eval.evaluations is 5{INSTEAD}"),
    ],
)
def test_an_arm_of_what_will_not_be_there_is_refused_at_once(arm, said):
    assert mistaken(arm) == f"params.yaml: train.arms: 'mine': {said}"


@pytest.mark.parametrize(
    "arm",
    [
        {"student": "small", "scorer": "base", "rationales": 5, "evaluations": 5},
        {"chain": "slc_high, imitation off", "round": 2, "rationales": 3},
        {"chain": "whatever", "round": 0},
    ],
)
def test_an_arm_of_all_that_will_be_there_is_allowed(arm):
    assert mistaken(arm) == ""


@pytest.mark.parametrize("arm", [{"rationales": 6}, {"evaluations": 6}, {"chain": "random", "round": 3}])
def test_an_arm_that_may_be_skipped_is_allowed_to_need_more(arm):
    assert mistaken(arm, train__unfed="skip") == ""


def test_a_misnamed_student_is_refused_even_where_arms_may_be_skipped():
    assert "no student 'tiny'" in mistaken({"student": "tiny"}, train__unfed="skip")


def test_a_majority_of_one_rationale_is_refused():
    arms = {"mine": {"labels": "majority", "explain": False}}
    said = mistaken(train__arms=arms, train__headline="mine", generate__rationales=1)
    assert "'mine': labels: a majority needs several rationales, but generate.rationales is 1" in said


def test_without_imitation_there_is_no_chain_that_controls_for_it():
    arm = {"chain": "slc_high, imitation off", "round": 1}
    assert "makes no chain 'slc_high, imitation off'" in mistaken(arm, teacher__simulated__imitation=False)


def test_a_misspelt_key_of_a_further_student_is_refused():
    said = mistaken(students={"small": {"dmodel": 32}})
    assert said.startswith("students.small.dmodel: unknown key; allowed: source, ")


@pytest.mark.parametrize(
    ("finding", "said"),
    [
        ({"x": "rationals"}, "no recipe has a key 'rationals'; allowed: rationales, "),
        ({"x": "rationales", "by": "level"}, "no recipe has a key 'level'; allowed: rationales, "),
        ({"x": "rationales", "arms": ["1 CoT", "9 CoTs"]}, "no arm '9 CoTs'; arms: 'standard', '1 CoT', "),
    ],
)
def test_a_finding_of_what_is_not_there_is_refused(finding, said):
    given = {"arms": ["1 CoT", "5 CoTs"], **finding}
    assert mistaken(ablate__findings={"Mine": given}).startswith(f"params.yaml: ablate.findings: 'Mine': {said}")


def test_with_gold_labels_alone_findings_name_their_arms_as_ever():
    finding = {"x": "rationales", "arms": ["1 CoT", "5 CoTs"]}
    gold = {"train__labels": ["gold"], "train__headline": "1 CoT (H)", "ablate__alike": ["1 CoT (H)"]}
    assert mistaken(**gold, ablate__findings={"Mine": finding}) == ""


@pytest.mark.parametrize("key", ["train.headline", "ablate.alike", "ablate.cases.baseline", "ablate.cases.method"])
def test_a_named_arm_that_there_is_not_is_refused(key):
    given = ["1 CoT", "6 CoTs"] if key == "ablate.alike" else "6 CoTs"
    said = mistaken(**{key.replace(".", "__"): given})
    assert said.startswith(f"params.yaml: {key}: no arm '6 CoTs'; arms: 'standard', '1 CoT', ")


def test_what_is_alike_is_named_as_it_is_shown_and_the_cases_either_way():
    gold = {"train__labels": ["gold"], "train__headline": "1 CoT (H)"}
    assert "ablate.alike: no arm '1 CoT'; arms: 'standard (H)', '1 CoT (H)', " in mistaken(
        **gold, ablate__alike=["1 CoT"]
    )
    for name in ("5 CoTs", "5 CoTs (H)"):
        assert mistaken(**gold, ablate__alike=["1 CoT (H)"], ablate__cases__method=name) == ""


def test_mistakes_are_found_without_loading_what_trains():
    code = "import sys, lib.inputs; sys.exit(str({'torch', 'transformers'} & set(sys.modules) or ''))"
    result = subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True, text=True, timeout=60)
    assert result.stderr.strip() == ""


def test_an_unknown_similarity_is_refused_at_once():
    said = mistaken(slc__similarity="cosine")
    assert said.startswith("params.yaml: slc.similarity: unknown similarity 'cosine'; allowed: jaccard, tfidf, ")
    assert mistaken(slc__similarity="sentence-transformers/all-MiniLM-L6-v2") == ""  # loaded where it is first used
