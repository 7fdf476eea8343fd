"use strict";
// Records come from the JSON beside this script. Their texts were written by language models: they are put into the
// page by append() and textContent alone, which never read HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const SHOWN = 20; // rationales at a time: the page stays quick however many there are
const CHOICES = ["split", "answer", "steps", "verdicts", "strategy", "students"]; // fields that offer a few values
const field = (id) => document.getElementById(id);

// One item a rationale; a question without any has one item of its own.
const items = data.questions.flatMap((question) =>
  (question.rationales.length ? question.rationales : [null]).map((rationale) => ({ question, rationale })));
let found = items;
let first = 0;

// -- what is wanted -----------------------------------------------------------------------------

// Everything that can be searched in an item, in lower case; made when first asked for.
function textOf(item) {
  if (item.text === undefined) {
    const { question, rationale } = item;
    const parts = [question.id, question.text, question.gold];
    if (rationale) {
      parts.push(rationale.steps.join(" "), rationale.answer, ...rationale.verdicts.map(([, i]) => data.critiques[i]));
    }
    for (const answer of question.students) parts.push(answer[1], (answer[3] || []).join(" "));
    item.text = parts.join("\n").toLowerCase();
  }
  return item.text;
}

const answerOf = ({ rationale: r }) => (!r || r.correct === null ? "unknown" : r.correct ? "right" : "wrong");
const stepsOf = ({ rationale: r }) => (!r || r.wrong === null ? "unknown" : r.wrong.length ? "refuted" : "passed");
const allRight = (answers) => answers.every(([, , correct]) => correct);
const studentsOf = ({ question: q }) => (!q.students.length ? "none" : allRight(q.students) ? "right" : "wrong");
const approving = (r) => r.verdicts.filter(([verdict]) => verdict === "correct").length;
const approved = (r) => approving(r) > r.verdicts.length / 2;
const verdictsOf = ({ rationale: r }) => (!r || !r.verdicts.length ? "none" : approved(r) ? "most" : "few");
const scoreOf = ({ rationale: r }) => (r ? r.scores[Number(field("score").value)] ?? null : null);

// Whether an item has what the fields ask for; the cheap questions come first.
function wanted() {
  const ask = Object.fromEntries(CHOICES.map((id) => [id, field(id).value]));
  const words = field("words").value.toLowerCase().split(/\s+/).filter(Boolean);
  const [low, high] = ["low", "high"].map((id) => (field(id).value === "" ? null : Number(field(id).value)));
  return (item) => {
    if (ask.split && item.question.split !== ask.split) return false;
    if (ask.answer && answerOf(item) !== ask.answer) return false;
    if (ask.steps && stepsOf(item) !== ask.steps) return false;
    if (ask.verdicts && verdictsOf(item) !== ask.verdicts) return false;
    if (ask.students && studentsOf(item) !== ask.students) return false;
    if (ask.strategy && !(item.rationale && item.rationale.chosen.includes(ask.strategy))) return false;
    const score = low === null && high === null ? 0 : scoreOf(item);
    if (score === null || (low !== null && score < low) || (high !== null && score > high)) return false;
    return words.every((word) => textOf(item).includes(word));
  };
}

function ordered(chosen) {
  const order = field("order").value;
  if (order === "id") return chosen;
  const sign = order === "up" ? 1 : -1;
  const scored = chosen.map((item) => [scoreOf(item), item]);
  scored.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : sign * (a - b)));
  return scored.map(([, item]) => item);
}

// -- what is shown ------------------------------------------------------------------------------

function make(tag, parts, properties = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...[parts].flat().filter((part) => part !== null && part !== ""));
  return element;
}

// Someone's sentences, each in its own direction; those that the verifier refutes are marked, in words too.
function paragraph(steps, wrong, lead = "") {
  const refuted = new Set(wrong || []);
  const parts = steps.flatMap((step, i) => {
    const text = make(refuted.has(i) ? "mark" : "bdi", step, { dir: "auto" });
    return refuted.has(i) ? [text, make("small", " (refuted)", { className: "reason" }), " "] : [text, " "];
  });
  return make("p", [lead, ...parts]);
}

const quoted = (text) => make("bdi", text === null || text === "" ? "nothing" : text);
const rightOrWrong = (correct) => (correct === null ? "not known to be right" : correct ? "right" : "wrong");
const number = (n) => n.toLocaleString("en");
const count = (n, what) => `${number(n)} ${what}${n === 1 ? "" : "s"}`;

function folded(summary, parts) {
  return make("details", [make("summary", summary), make("ul", parts.map((part) => make("li", part)))]);
}

function rationaleParts(r) {
  const scores = data.scores.flatMap((name, i) => (r.scores[i] === null ? [] : [`${name} ${r.scores[i].toFixed(3)}`]));
  const facts = ["answer ", quoted(r.answer), `, ${rightOrWrong(r.correct)}`];
  facts.push(scores.length ? ` · ${scores.join(" · ")}` : " · not scored");
  facts.push(r.chosen.length ? ` · chosen by ${r.chosen.join(", ")}` : " · chosen by no strategy");
  const said = (critique) => make("bdi", critique, { dir: "auto" });
  const critiques = r.verdicts.map(([verdict, i]) => [make("strong", verdict), ": ", said(data.critiques[i])]);
  const summary = `${count(r.verdicts.length, "self-evaluation")}, ${approving(r)} of them “correct”`;
  const below = critiques.length ? folded(summary, critiques) : null;
  return [paragraph(r.steps, r.wrong), make("p", facts, { className: "facts" }), below];
}

function studentParts(answers) {
  if (!answers.length) return null;
  const right = answers.filter((answer) => answer[2]).length;
  const lines = answers.map(([run, label, correct, steps, wrong]) => {
    const lead = [make("strong", data.runs[run]), ": answers ", quoted(label), `, ${rightOrWrong(correct)}`];
    return steps ? [...lead, "; writes:", paragraph(steps, wrong)] : lead;
  });
  return folded(`${count(answers.length, "trained student")}, ${right} of them right`, lines);
}

function article({ question, rationale }) {
  return make("article", [
    make("h3", rationale ? rationale.id : question.id),
    make("p", [make("strong", `Question (${question.split}): `), make("bdi", question.text, { dir: "auto" })]),
    make("p", ["label of the task: ", quoted(question.gold)], { className: "facts" }),
    ...(rationale ? rationaleParts(rationale) : [make("p", "The teacher wrote no usable rationale.")]),
    studentParts(question.students),
  ]);
}

function show() {
  field("list").replaceChildren(...found.slice(first, first + SHOWN).map(article));
  const last = Math.min(first + SHOWN, found.length);
  field("place").textContent = found.length ? `${number(first + 1)}–${number(last)} of ${number(found.length)}` : "";
  field("before").disabled = first === 0;
  field("after").disabled = last === found.length;
}

function search() {
  found = ordered(items.filter(wanted()));
  first = 0;
  const all = count(items.length, "item");
  field("status").textContent = `${number(found.length)} of ${all}; an item is a rationale with its question.`;
  show();
}

function turn(by) {
  first += by;
  show();
  field("found").scrollIntoView();
}

// -- the fields ---------------------------------------------------------------------------------

function offer(id, options) {
  field(id).append(...options.map(([value, text]) => make("option", text, { value })));
}

const FIELDS = ["words", ...CHOICES, "score", "low", "high", "order"];
const DEFAULTS = { score: "0", order: "id" };

function reset() {
  for (const id of FIELDS) field(id).value = DEFAULTS[id] ?? "";
  search();
}

offer("split", [...new Set(data.questions.map((q) => q.split))].map((split) => [split, split]));
offer("strategy", data.strategies.map((name) => [name, name]));
offer("score", (data.scores.length ? data.scores : ["none"]).map((name, i) => [String(i), name]));
for (const id of FIELDS) field(id).addEventListener("input", search);
field("reset").addEventListener("click", reset);
field("before").addEventListener("click", () => turn(-SHOWN));
field("after").addEventListener("click", () => turn(SHOWN));
reset(); // a browser that comes back to the page would fill the fields as they were
