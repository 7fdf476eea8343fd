"""Every profile's students have the published shapes, built without weights, and small ones can be fitted.

The hub is not asked: what its checkpoints' config.json say stands here, with the numbers of weights that are published.
"""

from dataclasses import replace
from functools import cache

import pytest
import torch
from tiny_world import STUDENT, data, runs
from transformers import AutoConfig, AutoTokenizer, GPT2Config, LlamaConfig, T5Config, set_seed

from lib import paths
from lib import student as student_module
from lib.arms import make_arms, with_labels
from lib.config import load_config
from lib.encoding import encode
from lib.runs import _plan
from lib.student import load_student, parameters, start_student
from lib.students import all_students
from lib.training import fit
from lib.words import continuing_tokenizer, words_tokenizer

PROFILES = sorted(path.stem for path in (paths.ROOT / "params").glob("*.yaml"))
TEXTS = [*data().training_texts(), "-->"]
T5 = {"vocab_size": 32128, "d_kv": 64, "decoder_start_token_id": 0, "architectures": ["T5ForConditionalGeneration"]}
GATED = T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
GPT2 = {"vocab_size": 50257, "n_positions": 1024, "architectures": ["GPT2LMHeadModel"]}


def t5(d_model: int, d_ff: int, layers: int, heads: int, family: dict = T5) -> T5Config:
    return T5Config(**family, d_model=d_model, d_ff=d_ff, num_layers=layers, num_heads=heads)


def gpt2(d_model: int, layers: int, heads: int) -> GPT2Config:
    return GPT2Config(**GPT2, n_embd=d_model, n_layer=layers, n_head=heads)


def llama_2() -> LlamaConfig:
    return LlamaConfig(
        vocab_size=32000, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32,
        max_position_embeddings=4096, architectures=["LlamaForCausalLM"],
    )  # fmt: skip


V1_1 = {
    "small": (lambda: t5(512, 1024, 8, 6, GATED), 76_961_152),
    "base": (lambda: t5(768, 2048, 12, 12, GATED), 247_577_856),
    "large": (lambda: t5(1024, 2816, 24, 16, GATED), 783_150_080),
}
# hub name -> (its config, how many weights it has)
PUBLISHED = {
    "google-t5/t5-small": (lambda: t5(512, 2048, 6, 8), 60_506_624),
    "google-t5/t5-base": (lambda: t5(768, 3072, 12, 12), 222_903_552),
    "google-t5/t5-large": (lambda: t5(1024, 4096, 24, 16), 737_668_096),
    **{f"google/t5-v1_1-{size}": own for size, own in V1_1.items()},
    **{f"google/flan-t5-{size}": own for size, own in V1_1.items()},
    "openai-community/gpt2": (lambda: gpt2(768, 12, 12), 124_439_808),
    "openai-community/gpt2-medium": (lambda: gpt2(1024, 24, 16), 354_823_168),
    "openai-community/gpt2-large": (lambda: gpt2(1280, 36, 20), 774_030_080),
    "openai-community/gpt2-xl": (lambda: gpt2(1600, 48, 25), 1_557_611_200),
    "meta-llama/Llama-2-7b-hf": (llama_2, 6_738_415_616),
}
SMALL = {
    "t5": {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 2},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2},
}


def shrunk(config):
    """The same kind of model with few layers, narrow ones, and the words of the tiny world."""
    tokenizer = known_words(config.is_encoder_decoder)
    return type(config)(**config.to_dict() | SMALL[config.model_type] | {"vocab_size": len(tokenizer)})


def random_model(auto, config):
    """What the checkpoint would give but for its weights.

    transformers makes any T5 with one matrix for embedding and projection. Those of T5 v1.1 and Flan-T5 bring two
    different ones, which are then kept apart.
    """
    model = auto.from_config(config)
    if getattr(config, "scale_decoder_outputs", None) is False:
        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.shared.weight))
        model.all_tied_weights_keys.pop("lm_head.weight")
    return model


def known_words(both: bool):
    """As the hub's tokenizers: a T5's pads, a GPT-2's and a LLaMA's do not."""
    tokenizer = words_tokenizer(TEXTS) if both else continuing_tokenizer(TEXTS)
    tokenizer.pad_token = tokenizer.pad_token if both else None
    return tokenizer


@pytest.fixture
def hub(monkeypatch):
    """Gives configs of PUBLISHED, changed as asked, models of random weights by them, and tokenizers of words."""

    def set_up(change):
        def load(auto, name, key, **how):
            config = change(PUBLISHED[name][0]())
            if auto is AutoConfig:
                return config
            return known_words(config.is_encoder_decoder) if auto is AutoTokenizer else random_model(auto, config)

        monkeypatch.setattr(student_module, "_load", load)

    return set_up


@cache
def profile(name: str):
    return load_config(paths.ROOT / "params" / f"{name}.yaml")


def used_students(name: str) -> dict:
    """The students of a profile's arms and scorers, by name; its arms are made as 04_train makes them."""
    config = profile(name)
    students = all_students(config.student, config.students)
    recipes = [
        arm.recipe for arm in with_labels(make_arms(config.train.arms, config.train), config.train.labels).values()
    ]
    return {key: students[key] for recipe in recipes for key in (recipe.student, recipe.scored_by)}


SETTINGS = {(s.source, s) for name in PROFILES for s in used_students(name).values()}
SCRATCH = sorted({(s.architecture, s.d_model, s.d_ff, s.layers, s.heads) for at, s in SETTINGS if at == "scratch"})


@pytest.mark.parametrize("name", PROFILES)
def test_every_student_of_a_profile_is_known_here(name):
    sources = {student.source for student in used_students(name).values()}
    assert sources <= {"scratch", *PUBLISHED}
    assert name.startswith("paper-") == (sources != {"scratch"})


@pytest.mark.parametrize("source", PUBLISHED)
def test_a_published_student_has_its_published_number_of_weights(hub, source):
    """Built by the limits of each profile that has it: they must fit its positions."""
    hub(lambda config: config)
    named = [s for at, s in SETTINGS if at == source]
    for settings in named or [STUDENT.model_copy(update={"source": source, "tokenizer": source})]:
        with torch.device("meta"):
            built = start_student(settings, known_words(PUBLISHED[source][0]().is_encoder_decoder), seed=0)
        assert {weight.device.type for weight in built.model.parameters()} == {"meta"}
        assert parameters(built) == PUBLISHED[source][1]


@pytest.mark.parametrize(("kind", "d", "ff", "layers", "heads"), SCRATCH)
def test_a_student_from_scratch_has_the_weights_that_its_shape_says(kind, d, ff, layers, heads):
    settings = next(s for at, s in SETTINGS if at == "scratch" and (s.architecture, s.d_model) == (kind, d))
    tokenizer = known_words(kind == "t5")
    with torch.device("meta"):
        built = start_student(settings, tokenizer, seed=0)
    encoder, decoder = (n * d * d + 2 * d * ff + (1 + n // 4) * d for n in (4, 8))  # attentions, steps, norms
    t5 = layers * (encoder + decoder) + 2 * (32 * heads + d)
    block = (4 * d + 4) * d + (2 * d + 1) * ff + d + 4 * d
    gpt2 = layers * block + 2 * d + (settings.max_source_tokens + settings.max_target_tokens + 8) * d
    assert parameters(built) == len(tokenizer) * d + (t5 if kind == "t5" else gpt2)


def ways() -> dict[str, tuple]:
    """What is fitted: each kind of student by each way of learning that a profile has it for, once.

    Kinds differ by their configs' features, not by their size.
    """
    found = {}
    for name in PROFILES:
        train, students = profile(name).train, used_students(name)
        for arm in make_arms(train.arms, train).values():
            settings, recipe = students[arm.recipe.student], arm.recipe
            kind = settings.architecture if settings.source == "scratch" else settings.source.rpartition("-")[0]
            learned = "labels" if not recipe.explain else "rationale first" if recipe.rationale_first else "multitask"
            learned += " w/ SE" if recipe.evaluations else ""
            found.setdefault(f"{kind or settings.source}, {learned}, {train.optimizer}", (train, settings, recipe))
    return found


WAYS = ways()


@pytest.mark.parametrize("way", WAYS)
def test_a_small_student_of_the_kind_takes_three_steps(hub, tmp_path, way):
    hub(shrunk)
    train, settings, recipe = WAYS[way]
    few = train.model_copy(update={"labels": ["teacher"], "seeds": [0], "batch": 4, "warmup_steps": 1})
    small = {"d_model": 16, "d_ff": 32, "heads": 2} if settings.source == "scratch" else {}
    asked = {"explain": recipe.explain, "format": recipe.format, "evaluations": min(recipe.evaluations, 2)}
    [run] = runs({"arm": asked}, train=few, students={"base": settings.model_copy(update=small)})
    student = start_student(run.student, run.tokenizer, run.seed)
    assert parameters(student) < 60_000
    for i, phase in enumerate(filter(None, (run.evaluation_phase, run.reasoning_phase))):
        before = [weight.clone() for weight in student.model.parameters()]
        encoded = encode(run.tokenizer, phase, student.decoder_only)
        history = fit(student, encoded, _plan(run, 3), tmp_path / str(i))
        assert history[-1]["step"] == 3
        assert all(0 < row["loss"] < 100 for row in history)
        moved = [not torch.equal(old, new) for old, new in zip(before, student.model.parameters(), strict=True)]
        assert sum(moved) > len(moved) / 2 and all(weight.isfinite().all() for weight in student.model.parameters())


def flan(hub):
    """A small Flan-T5, its tokenizer's words, and what it is to learn from."""
    hub(shrunk)
    named = {"source": "google/flan-t5-base", "tokenizer": "google/flan-t5-base"}
    [run] = runs({"arm": {}}, students={"base": STUDENT.model_copy(update=named)})
    return run, encode(run.tokenizer, run.reasoning_phase)


def logits(student) -> torch.Tensor:
    with torch.no_grad():
        return student.model(input_ids=torch.tensor([[5, 6, 1]]), decoder_input_ids=torch.tensor([[0, 7]])).logits


def test_a_flan_t5s_own_projection_outlasts_an_interruption_and_a_checkpoint(hub, tmp_path):
    run, encoded = flan(hub)
    plan, looks = replace(_plan(run, 6), validate_every=2), []

    def look(stop: int | None = None) -> float:
        looks.append(len(looks))
        if stop == len(looks):
            raise KeyboardInterrupt
        return 0.5 + len(looks) / 100

    def student():
        set_seed(0)
        return start_student(run.student, run.tokenizer, run.seed)

    whole, broken = student(), student()
    fit(whole, encoded, plan, tmp_path / "whole", look)
    looks.clear()
    with pytest.raises(KeyboardInterrupt):
        fit(broken, encoded, plan, tmp_path / "broken", lambda: look(stop=2))
    resumed = student()
    fit(resumed, encoded, plan, tmp_path / "broken", look)
    assert torch.equal(logits(resumed), logits(whole))
    model = resumed.model
    assert not torch.equal(model.lm_head.weight, model.shared.weight) and not model.config.scale_decoder_outputs
    resumed.save(tmp_path / "saved")
    loaded = load_student(tmp_path / "saved")
    assert parameters(loaded) == parameters(resumed) and torch.equal(logits(loaded), logits(resumed))
