"""The student and its tokenizer: text to ids and back, weights from a seed, a checkpoint on disk."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import KINDS
from tiny_world import STUDENT, data
from transformers import BertConfig, BertForMaskedLM, GPT2Tokenizer, T5ForConditionalGeneration

from lib.errors import UserError
from lib.student import (
    decoder_only,
    load_student,
    make_tokenizer,
    new_student,
    parameters,
    start_student,
    to_best_device,
)
from lib.words import tidy, words_tokenizer

TEXTS = data().training_texts()


@pytest.fixture(scope="module")
def student():
    return new_student(STUDENT, TEXTS, seed=0)


def weights(student) -> list[torch.Tensor]:
    return list(student.model.state_dict().values())


def same(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


def test_ids_end_in_the_end_of_sequence_token(student):
    ids = student.ids("Ann has 10 pens.")
    assert ids[-1] == student.tokenizer.eos_token_id
    assert student.tokenizer.convert_ids_to_tokens(ids) == ["Ann", "has", "10", "pens", ".", "</s>"]
    assert student.ids("") == [student.tokenizer.eos_token_id]


def test_a_text_of_known_words_comes_back(student):
    for text in TEXTS[1:]:  # the first is a list of words, not a sentence
        assert student.text(student.ids(text)) == tidy(text)


def test_special_tokens_are_no_text(student):
    pad = student.tokenizer.pad_token_id
    assert student.text([pad, *student.ids("(10 + 2)"), pad, pad]) == "(10 + 2)"


@pytest.mark.parametrize(
    ("apart", "together"),
    [
        ("( 3 + 4 ) .", "(3 + 4)."),
        ("Tom has 3 pens .", "Tom has 3 pens."),
        (" So , is it 7 ? ", "So, is it 7?"),
        ("12 + 7", "12 + 7"),
        ("", ""),
    ],
)
def test_spaces_around_punctuation_are_undone(apart, together):
    assert tidy(apart) == together


@given(st.lists(st.sampled_from(["(", ")", ".", ",", "+", "12", "pens", "[", "]"])))
def test_tidying_changes_no_character_but_spaces(tokens):
    text = tidy(" ".join(tokens))
    assert text.replace(" ", "") == "".join(tokens)
    assert tidy(text) == text


@given(st.permutations(TEXTS[:12]))
def test_the_tokenizer_does_not_depend_on_the_order_of_texts(texts):
    assert words_tokenizer(texts).get_vocab() == words_tokenizer(TEXTS[:12]).get_vocab()


def test_weights_follow_from_the_seed(student):
    assert same(student, new_student(STUDENT, TEXTS, seed=0))
    assert not same(student, new_student(STUDENT, TEXTS, seed=1))


def test_parameters_are_counted_once(student):
    d, ff, heads, vocabulary = 16, 32, 2, len(student.tokenizer)
    attention, feed_forward, relative_positions = 4 * d * d, 2 * d * ff, 32 * heads
    encoder = attention + relative_positions + feed_forward + 3 * d
    decoder = 2 * attention + relative_positions + feed_forward + 4 * d
    assert parameters(student) == vocabulary * d + encoder + decoder


def test_a_saved_student_is_the_same_student(student, tmp_path):
    student.save(tmp_path)
    loaded = load_student(tmp_path)
    assert same(student, loaded)
    assert loaded.ids(TEXTS[1]) == student.ids(TEXTS[1])
    assert (tmp_path / "model.safetensors").exists()


def test_a_saved_student_can_be_the_start_of_another(student, tmp_path):
    student.save(tmp_path)
    settings = STUDENT.model_copy(update={"source": str(tmp_path), "tokenizer": str(tmp_path)})
    continued = new_student(settings, ["other words"], seed=5)
    assert same(student, continued)
    assert continued.tokenizer.get_vocab() == student.tokenizer.get_vocab()


def test_heads_must_divide_the_width():
    with pytest.raises(UserError, match=r"student\.heads: 3 does not divide student\.d_model 16"):
        new_student(STUDENT.model_copy(update={"heads": 3}), TEXTS, seed=0)


@pytest.mark.parametrize("key", ["source", "tokenizer"])
def test_a_student_that_cannot_be_loaded_is_named_in_one_line(key, tmp_path):
    absent = str(tmp_path / "absent")
    there = {"tokenizer": str(tmp_path)} if key == "source" else {}
    new_student(STUDENT, TEXTS, seed=0).tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UserError) as error:
        new_student(STUDENT.model_copy(update={**there, key: absent}), TEXTS, seed=0)
    assert str(error.value).startswith(f"student.{key}: cannot load '{absent}'")
    assert "local folder" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_tokenizer_of_words_is_trained_on_the_given_texts():
    vocabulary = make_tokenizer(STUDENT, ["one two"]).get_vocab()
    assert sorted(vocabulary) == ["</s>", "<pad>", "<unk>", "one", "two"]


# -- decoder-only students -----------------------------------------------------------------------

GPT2 = STUDENT.model_copy(update={"architecture": "gpt2"})


@pytest.fixture(scope="module")
def continuing():
    return new_student(GPT2, TEXTS, seed=0)


def test_a_decoder_only_student_has_the_shape_asked_for(continuing):
    config = continuing.model.config
    assert continuing.decoder_only and decoder_only(GPT2) and not decoder_only(STUDENT)
    assert (config.n_embd, config.n_inner, config.n_layer, config.n_head) == (16, 32, 1, 2)
    assert (config.resid_pdrop, config.embd_pdrop, config.attn_pdrop) == (0.1, 0.1, 0.1)
    assert config.n_positions == STUDENT.max_source_tokens + STUDENT.max_target_tokens + 8
    d, ff, positions, vocabulary = 16, 32, config.n_positions, len(continuing.tokenizer)
    layer = (4 * d * d + 4 * d) + (2 * d * ff + ff + d) + 4 * d
    assert parameters(continuing) == (vocabulary + positions) * d + layer + 2 * d  # the projection is the embedding


def test_its_weights_follow_from_the_seed(continuing):
    assert same(continuing, new_student(GPT2, TEXTS, seed=0))
    assert not same(continuing, new_student(GPT2, TEXTS, seed=1))


def test_it_is_saved_and_loaded_as_what_it_is(continuing, tmp_path):
    continuing.save(tmp_path)
    loaded = load_student(tmp_path)
    assert loaded.decoder_only and same(continuing, loaded)
    assert loaded.ids(TEXTS[1]) == continuing.ids(TEXTS[1])


def test_a_checkpoint_says_itself_what_kind_it_is(continuing, student, tmp_path):
    for made, folder in ((continuing, tmp_path / "gpt2"), (student, tmp_path / "t5")):
        made.save(folder)
        settings = STUDENT.model_copy(update={"source": str(folder), "tokenizer": str(folder)})
        assert decoder_only(settings) == made.decoder_only
        assert same(made, new_student(settings, [], seed=5))


def test_a_tokenizer_without_padding_pads_with_its_end(continuing, tmp_path):
    continuing.model.save_pretrained(tmp_path)
    tokenizer = make_tokenizer(GPT2, TEXTS)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path)
    loaded = make_tokenizer(GPT2.model_copy(update={"source": str(tmp_path), "tokenizer": str(tmp_path)}), [])
    assert loaded.pad_token_id == loaded.eos_token_id == tokenizer.eos_token_id


def test_a_real_gpt2_tokenizer_pads_with_its_end(real_data, tmp_path):
    GPT2Tokenizer.from_pretrained(real_data / "tokenizers" / "gpt2").save_pretrained(tmp_path)
    tokenizer = make_tokenizer(GPT2.model_copy(update={"tokenizer": str(tmp_path)}), [])
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == 50256


def refusal(**changes) -> str:
    with pytest.raises(UserError) as error:
        new_student(STUDENT.model_copy(update=changes), TEXTS, seed=0)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_model_that_writes_no_text_is_refused(student, tmp_path):
    config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, vocab_size=99)
    BertForMaskedLM(config).save_pretrained(tmp_path)
    student.tokenizer.save_pretrained(tmp_path)
    said = refusal(source=str(tmp_path), tokenizer=str(tmp_path))
    assert said.startswith(f"student.source: '{tmp_path}' is a bert (BertForMaskedLM); allowed: an encoder-decoder (")


def test_a_slow_tokenizer_is_refused(monkeypatch, student, tmp_path):
    student.save(tmp_path)
    monkeypatch.setattr(type(student.tokenizer), "is_fast", False)
    said = refusal(source=str(tmp_path), tokenizer=str(tmp_path))
    assert said.startswith(f"student.tokenizer: '{tmp_path}' is slow") and "tokenizer.json" in said


def test_a_bart_is_a_student_too(tmp_path):
    bart = KINDS["as BART"]()
    bart.save(tmp_path)
    settings = STUDENT.model_copy(update={"source": str(tmp_path), "tokenizer": str(tmp_path)})
    again = start_student(settings, bart.tokenizer, seed=0)
    assert not again.decoder_only and not decoder_only(settings)
    assert torch.equal(again.model.final_logits_bias, bart.model.final_logits_bias)


def test_a_model_published_in_half_precision_is_trained_and_scored_in_fp32(student, tmp_path):
    student.save(tmp_path)
    half = load_student(tmp_path)
    half.model.half().save_pretrained(tmp_path)
    settings = STUDENT.model_copy(update={"source": str(tmp_path), "tokenizer": str(tmp_path)})
    assert {w.dtype for w in weights(start_student(settings, student.tokenizer, seed=0))} == {torch.float32}


def test_a_bart_has_positions_for_a_text_and_its_start(tmp_path):
    bart = KINDS["as BART"]()  # of 256 positions
    bart.save(tmp_path)
    named = {"source": str(tmp_path), "tokenizer": str(tmp_path)}
    for changed in ({"max_source_tokens": 257}, {"max_target_tokens": 255}):
        assert f"at most 256 and 254, for '{tmp_path}' has 256 positions" in refusal(**named, **changed)
    fits = STUDENT.model_copy(update={**named, "max_source_tokens": 256, "max_target_tokens": 254})
    assert not start_student(fits, bart.tokenizer, seed=0).decoder_only


def test_an_encoder_decoder_without_a_start_token_is_refused(student, tmp_path):
    student.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"decoder_start_token_id": None}))
    assert "no decoder_start_token_id in its config.json" in refusal(source=str(tmp_path), tokenizer=str(tmp_path))


@pytest.mark.parametrize("loaded", [True, False], ids=["saved", "pretrained"])
def test_a_checkpoints_habits_of_writing_are_left_behind(tmp_path, loaded):
    bart = KINDS["as BART"]()
    bart.model.generation_config.update(no_repeat_ngram_size=3, num_beams=4, min_length=9, forced_bos_token_id=5)
    bart.save(tmp_path)
    assert '"no_repeat_ngram_size": 3' in (tmp_path / "generation_config.json").read_text()
    settings = STUDENT.model_copy(update={"source": str(tmp_path), "tokenizer": str(tmp_path)})
    again = load_student(tmp_path) if loaded else start_student(settings, bart.tokenizer, seed=0)
    with torch.no_grad():
        again.model.final_logits_bias[:, 7] = 1e4  # so that it wants to write nothing else
    written = again.model.generate(torch.tensor([[5, 1]]), max_new_tokens=8, do_sample=False, num_beams=1)
    assert written.tolist() == [[bart.model.config.decoder_start_token_id] + [7] * 8]
    kept = {name: value for name, value in again.model.generation_config.to_diff_dict().items() if "token_id" in name}
    names = ("bos_token_id", "decoder_start_token_id", "eos_token_id", "pad_token_id")
    assert kept == {name: getattr(bart.model.config, name) for name in names}


def test_a_tokenizer_of_another_model_is_refused(student, tmp_path):
    student.save(tmp_path / "small")
    words_tokenizer(["one two three"] + TEXTS).save_pretrained(tmp_path / "more words")
    small, more = tmp_path / "small", tmp_path / "more words"
    assert refusal(source=str(small), tokenizer=str(more)) == (
        f"student.source: '{small}': student.tokenizer '{more}' has {len(student.tokenizer) + 3} tokens, the model "
        f"only {len(student.tokenizer)}; give the tokenizer that the model was made with"
    )
    assert refusal(source=str(tmp_path / "small")).startswith("student.tokenizer: words, but student.source is '/")


def test_more_tokens_than_positions_are_refused(continuing, tmp_path):
    continuing.save(tmp_path)
    named = {"source": str(tmp_path), "tokenizer": str(tmp_path)}
    assert "together at most 104, for " in refusal(**named, max_source_tokens=73)
    fits = STUDENT.model_copy(update={**named, "max_source_tokens": 72})
    assert start_student(fits, continuing.tokenizer, seed=0).decoder_only


def test_pickled_weights_are_not_the_start_of_a_student(student, tmp_path):
    student.save(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "adapter.safetensors")
    torch.save(student.model.state_dict(), tmp_path / "pytorch_model.bin")
    said = refusal(source=str(tmp_path), tokenizer=str(tmp_path))
    assert said.startswith(f"student.source: '{tmp_path}' has no weights in safetensors (model.safetensors)")
    assert "pickled ones are not read" in said


@pytest.mark.parametrize(
    ("name", "spoil", "key"),
    [
        ("model.safetensors", lambda data: data[:100], "source"),
        ("model.safetensors", lambda data: data[: len(data) // 2], "source"),
        ("config.json", lambda data: data.replace(b'"d_model": 16', b'"d_model": 32'), "source"),
        ("config.json", lambda data: data.replace(b'"vocab_size": ', b'"vocab_size": 9'), "source"),
        ("config.json", lambda data: data[:50], "tokenizer"),
        ("tokenizer.json", lambda _: b"{}", "tokenizer"),
    ],
)
def test_a_damaged_checkpoint_is_told_in_one_line(student, tmp_path, name, spoil, key):
    student.save(tmp_path)
    before = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(spoil(before))
    assert (tmp_path / name).read_bytes() != before
    said = refusal(source=str(tmp_path), tokenizer=str(tmp_path))
    assert said.startswith(f"student.{key}: cannot load '{tmp_path}' (") and "\n" not in said


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA"), RuntimeError("can't allocate memory"), MemoryError()]
)
def test_too_little_memory_is_no_damage_to_a_checkpoint(student, tmp_path, monkeypatch, error):
    student.save(tmp_path)

    def load(*_, **__):
        raise error

    monkeypatch.setattr(T5ForConditionalGeneration, "from_pretrained", load)
    with pytest.raises(type(error)) as raised:
        new_student(STUDENT.model_copy(update={"source": str(tmp_path), "tokenizer": str(tmp_path)}), [], seed=0)
    assert raised.value is error


@pytest.mark.parametrize("from_scratch", [True, False])
@pytest.mark.parametrize(
    ("lacking", "architecture", "said"),
    [
        ("pad_token", "t5", "has no padding token (pad); an encoder-decoder needs one"),
        ("eos_token", "t5", "has no end token (eos), so nothing it writes would end"),
        ("eos_token", "gpt2", "has no end token (eos), so nothing it writes would end"),
    ],
)
def test_a_named_tokenizer_must_end_and_pad(student, continuing, tmp_path, lacking, architecture, said, from_scratch):
    (student if architecture == "t5" else continuing).save(tmp_path)
    tokenizer = words_tokenizer(TEXTS)
    setattr(tokenizer, lacking, None)
    tokenizer.save_pretrained(tmp_path)
    source = "scratch" if from_scratch else str(tmp_path)
    refused = refusal(source=source, architecture=architecture, tokenizer=str(tmp_path))
    assert refused == f"student.tokenizer: '{tmp_path}' {said}"


def test_a_name_that_the_hub_does_not_give_says_what_to_do(monkeypatch):
    """As offline: the hub's client finds neither the network nor the files in its cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    said = refusal(source="google/t5-none-such", tokenizer="google/t5-none-such")
    assert said.startswith("student.tokenizer: cannot load 'google/t5-none-such' (")
    assert said.endswith("; give a local folder or a reachable hub name")


@pytest.mark.parametrize(("there", "device"), [(True, "cuda"), (False, "cpu")])
def test_a_student_goes_where_it_writes_fastest(student, monkeypatch, there, device):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(student.model, "to", asked.append)
    assert to_best_device(student) is student and asked == [torch.device(device)]
