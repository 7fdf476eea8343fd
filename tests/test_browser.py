"""The rationale browser: all records in one page that fetches nothing, and no text by a model can break out of it."""

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_world import data as tiny_data

from lib import browser
from lib.errors import UserError
from lib.records import SPLITS, Score, Selection, write_rows

ABOUT = {"profile": "default", "task": "svamp", "teacher": "A <b>teacher</b> & co."}
HOSTILE = [
    "</script><script>document.title = 'taken'</script>",
    "<!-- <script>",
    "]]> --> <img src=x onerror=\"document.title = 'taken'\">",
    "before\u2028between\u2029after",
    "quotes \" ' ` ${document.title} \\u003c \\",
    "emoji 🙂 and a lone \ud83d half",
    "\u202eright to left \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "&lt;script&gt; &amp;amp; &#60;",
    "\x00\x1b[31m\t",
    "__proto__",
]


@pytest.fixture
def files(tmp_path) -> browser.Files:
    """The records of the small world: two strategies, two runs in two folders, of which one explains."""
    world = tiny_data()
    write_rows(tmp_path / "questions.jsonl", world.questions.values())
    write_rows(tmp_path / "rationales.jsonl", world.rationales)
    write_rows(tmp_path / "refined.jsonl", [])
    write_rows(tmp_path / "evaluations.jsonl", world.evaluations)
    trained = [r for r in world.rationales if r.split == "train"]
    write_rows(tmp_path / "scores.jsonl", [score(r, student) for r in trained for student in ("base", "small")])
    write_rows(tmp_path / "selections.jsonl", [selection("base", "rd_low", 2), selection("small", "random", 0)])
    (tmp_path / "runs.csv").write_text("arm,seed,run\nstandard,0,aa\n1 CoT,1,bb\n", encoding="utf-8")
    answer = {"question_id": "test-0", "student_label": "(10 + 2)", "correct": True}
    explained = answer | {"rationale": "Ten. 10 + 2 = 13.", "wrong_steps": [1], "correct": False}
    for folder, run, row in (("runs", "aa", answer), ("more", "bb", explained)):
        (tmp_path / folder / run).mkdir(parents=True)
        (tmp_path / folder / run / "predictions.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    names = ("questions", "rationales", "refined", "evaluations", "scores", "selections")
    places = [tmp_path / f"{name}.jsonl" for name in names]
    return browser.Files(*places, tmp_path / "runs.csv", (tmp_path / "runs", tmp_path / "more"))


def score(rationale, student: str) -> Score:
    values = {"slc": 1.5, "pmi": 2.5, "rd": 0.5 + rationale.sample}
    values |= dict.fromkeys(("rd_masked", "rd_own", "log_p", "log_p_answer"), 0.0)
    place = {"question_id": rationale.question_id, "sample": rationale.sample, "student": student}
    return Score(**place, scorer="", precision="fp32", rd_target="", tokens=9, **values)


def selection(student: str, strategy: str, sample: int) -> Selection:
    return Selection(question_id="train-0", student=student, strategy=strategy, samples=(sample,))


class Parts(HTMLParser):
    """What a browser finds in a page: elements with their attributes, and the text of each script and style."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.texts: dict[str, list[str]] = {"script": [], "style": []}
        self.open, self.comments = "", 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag in self.texts:
            self.open = tag
            self.texts[tag].append("")

    def handle_endtag(self, tag):
        self.open = ""

    def handle_data(self, text):
        if self.open:
            self.texts[self.open][-1] += text

    def handle_comment(self, text):
        self.comments += 1

    def of(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


# -- what it holds -------------------------------------------------------------------------------


def test_a_rationale_with_all_that_is_known_of_it(files):
    data = browser.collect(files)
    question = next(q for q in data["questions"] if q["id"] == "train-0")
    first, _, last = question["rationales"]
    assert data["scores"] == ["SLC", "PMI", "RD", "SLC (small)", "PMI (small)", "RD (small)"]
    assert first["scores"] == [1.5, 2.5, 0.5] * 2
    assert last["scores"] == [1.5, 2.5, 2.5] * 2
    assert (first["chosen"], last["chosen"]) == (["random (small)"], ["rd_low"])
    assert data["strategies"] == ["random (small)", "rd_low"]
    assert last["steps"] == ["Ann: 2 pens are gone.", "10 - 2 = 8.", "The answer is (10 - 2)."]
    assert (tuple(last["wrong"]), last["correct"], last["answer"]) == ((0,), False, "(10 - 2)")
    assert [(v, data["critiques"][i]) for v, i in last["verdicts"]] == [("wrong", "Ann: nothing is gone.")] * 2


def test_what_the_students_answered(files):
    data = browser.collect(files)
    answers = {q["id"]: q["students"] for q in data["questions"]}
    assert data["runs"] == ["standard, seed 0", "1 CoT, seed 1"]
    assert answers["test-0"] == [
        [0, "(10 + 2)", True, None, None],
        [1, "(10 + 2)", False, ["Ten.", "10 + 2 = 13."], [1]],
    ]
    assert answers["test-1"] == answers["train-0"] == []


def test_a_refined_rationale_has_its_own_scores_and_no_verdicts(files):
    plain = tiny_data().rationales[0]
    row = plain.model_dump() | {"chain": "slc_high", "round": 1, "text": "Anew."}
    files.refined.write_text(json.dumps(row) + "\n", encoding="utf-8")
    shown = [r for q in browser.collect(files)["questions"] for r in q["rationales"]]
    own = next(r for r in shown if r["id"] == f"{plain.id}@slc_high/1")
    assert own["steps"] == ["Anew."] and own["verdicts"] == [] and own["scores"] == [None] * 6
    assert len(shown) == len(tiny_data().rationales) + 1


def test_a_question_without_a_rationale_is_shown_all_the_same(files):
    write_rows(files.rationales, [r for r in tiny_data().rationales if r.question_id != "test-0"])
    question = next(q for q in browser.collect(files)["questions"] if q["id"] == "test-0")
    assert question["rationales"] == [] and len(question["students"]) == 2


def test_equal_critiques_are_kept_once(files):
    critiques = browser.collect(files)["critiques"]
    assert len(critiques) == len(set(critiques)) == len({e.critique for e in tiny_data().evaluations})


@pytest.mark.parametrize("each", [0, 1, 2, 3, 9])
def test_no_more_questions_of_a_split_than_asked_for(each):
    questions = list(tiny_data().questions.values())
    shown = browser.drawn(questions, each)
    there = {split: sum(q.split == split for q in questions) for split in SPLITS}
    assert {s: sum(q.split == s for q in shown) for s in SPLITS} == {s: min(each, n) for s, n in there.items()}
    assert [q.id for q in shown] == sorted(q.id for q in shown)
    assert browser.drawn(questions[::-1], each) == shown


def test_another_seed_draws_others():
    questions = list(tiny_data().questions.values())
    assert len({tuple(q.id for q in browser.drawn(questions, 1, seed)) for seed in range(20)}) > 1


def test_the_counts_are_of_what_is_there(files):
    whole, sample = browser.collect(files), browser.collect(files, each=1)
    assert browser.in_words(whole) == (
        "The whole of it: 8 of 8 questions, 16 of 16 rationales, 28 of 28 self-evaluations; "
        "answers of 2 trained students to 1 questions."
    )
    assert browser.in_words(sample).startswith("A sample: 3 of 8 questions, 5 of 16 rationales, 8 of 28 self-eval")
    assert browser.in_words(sample).endswith("seed 0: 1 of train, 1 of validation, 1 of test.")
    assert html.escape(browser.in_words(sample)) in browser.page(sample, ABOUT)


def test_a_rationale_of_an_unknown_question_is_refused(files):
    write_rows(files.questions, [q for q in tiny_data().questions.values() if q.id != "train-1"])
    with pytest.raises(UserError, match=r"rationales.jsonl: train-1/000: no question 'train-1'"):
        browser.collect(files)


def test_a_run_that_is_not_there_is_refused(files):
    files.runs.write_text("arm,seed,run\nstandard,0,cc\n", encoding="utf-8")
    with pytest.raises(UserError, match="run 'cc' is in none of"):
        browser.collect(files)


def test_a_list_of_runs_without_its_columns_is_refused(files):
    files.runs.write_text("arm,run\nstandard,aa\n", encoding="utf-8")
    with pytest.raises(UserError, match="no column 'seed'; columns: arm, run"):
        browser.collect(files)
    files.runs.unlink()
    with pytest.raises(UserError, match="no such file; `make reproduce` writes it"):
        browser.collect(files)


# -- what no text can do -------------------------------------------------------------------------


def hostile_page(texts) -> str:
    rows = [
        {"id": t, "split": "test", "text": t, "gold": t, "rationales": [rationale(t)], "students": []} for t in texts
    ]
    totals = {"questions": len(rows), "rationales": len(rows), "self-evaluations": len(rows)}
    lists = {"scores": ["SLC"], "strategies": texts, "runs": texts, "critiques": texts, "questions": rows}
    return browser.page({"of": totals, "each": None, "seed": 0, **lists}, ABOUT)


def rationale(text: str) -> dict:
    known = {"answer": text, "correct": None, "scores": [None], "verdicts": [["wrong", 0]], "chosen": [text]}
    return {"id": text, "steps": [text], "wrong": [0], **known}


def test_hostile_text_stays_in_its_element_and_comes_back_as_it_was():
    parts, plain = Parts(hostile_page(HOSTILE)), Parts(hostile_page(["plain"]))
    assert parts.elements == plain.elements and parts.comments == 0
    assert json.loads(parts.texts["script"][0])["critiques"] == HOSTILE


@given(st.lists(st.text()))
def test_any_text_is_embedded_without_a_sign_that_html_or_scripts_know(texts):
    text = browser.embedded(texts)
    assert text.isascii() and not re.search("[<>&]", text)
    assert json.loads(text) == texts


def test_what_is_no_number_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        browser.embedded([float("nan")])


def test_what_the_page_is_about_is_escaped():
    assert "A &lt;b&gt;teacher&lt;/b&gt; &amp; co." in hostile_page(["plain"])


# -- what the page may do ------------------------------------------------------------------------


def policy(parts: Parts) -> dict[str, list[str]]:
    [text] = [a["content"] for a in parts.of("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    return {words[0]: words[1:] for words in map(str.split, text.split("; "))}


def test_the_policy_allows_this_script_and_style_by_hash_and_nothing_else():
    parts = Parts(hostile_page(["plain"]))
    [_, script], [style] = parts.texts["script"], parts.texts["style"]
    assert policy(parts) == {
        "default-src": ["'none'"],
        "script-src": [f"'{browser.fingerprint(script)}'"],
        "style-src": [f"'{browser.fingerprint(style)}'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }


def test_a_fingerprint_by_hand():
    """The example of the specification of content security policies, level 2."""
    known = "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng="
    assert browser.fingerprint("alert('Hello, world.');") == known


def test_nothing_is_fetched_and_no_script_stands_elsewhere():
    text = hostile_page(["plain"])
    parts = Parts(text)
    keys = {key for _, attributes in parts.elements for key in attributes}
    assert not keys & {"src", "srcset", "action", "style"} and not any(key.startswith("on") for key in keys)
    assert [a["href"] for _, a in parts.elements if "href" in a] == ["index.html"]
    assert not re.search(r"https?:|//[a-z]|@import|url\(|fetch\(|XMLHttp|WebSocket|sendBeacon|import\(", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(", text)


def test_the_page_links_to_where_the_reports_are():
    data = {"of": dict.fromkeys(("questions", "rationales", "self-evaluations"), 0), "each": None, "seed": 0}
    data |= {name: [] for name in ("scores", "strategies", "runs", "critiques", "questions")}
    assert '<a href="../reports/index.html">' in browser.page(data, ABOUT, "../reports/")


def test_every_field_has_a_label_and_headings_are_in_order():
    text = hostile_page(["plain"])
    body = text[text.index("<body>") :]
    assert len(re.findall(r"<(?:input|select)\b", body)) == len(
        re.findall(r"<label\b[^>]*>[^<]+<(?:input|select)\b", body)
    )
    assert re.findall(r"<h(\d)", body[: body.index('id="data"')]) == ["1", "2", "2"]
    ids = re.findall(r'\bid="([\w-]+)"', text)
    assert len(ids) == len(set(ids))
    script = (browser.HERE / "browser.js").read_text(encoding="utf-8")
    assert set(re.findall(r'field\("([\w-]+)"\)', script)) <= set(ids)


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("chromium") or shutil.which("chromium-browser")), reason="no chromium here")
def test_a_browser_shows_hostile_text_as_text(tmp_path):
    shown = [text for text in HOSTILE if "\x00" not in text and "\ud83d" not in text]
    place = tmp_path / "browser.html"
    place.write_text(hostile_page(shown), encoding="utf-8")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'own'}", "--dump-dom"]
    result = subprocess.run([program, *options, place.as_uri()], capture_output=True, timeout=120)
    document = result.stdout.decode("utf-8")
    parts = Parts(document)
    assert re.search("<title>(.*?)</title>", document)[1] == "Rationales"
    assert len(parts.of("script")) == 2 and not parts.of("img") and len(parts.of("article")) == len(shown)
    heads = [html.unescape(head) for head in re.findall("<h3>(.*?)</h3>", document, re.DOTALL)]
    assert heads == shown
