"""Tiny students of random weights, of every kind that is fed in its own way, and texts for them to score."""

from collections.abc import Iterable

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
    set_seed,
)

from lib.pairs import rd_targets
from lib.records import Question, Rationale
from lib.student import Student
from lib.words import BOS, EOS, PAD, UNK, continuing_tokenizer, words_tokenizer

TEXTS = [
    ("Tom has 3 pens. He buys 4 pens. How many pens?", "He has 3. He buys 4. So 3 + 4 = 7.", "(3 + 4)"),
    ("Tom has 3 pens. He buys 4 pens. How many pens?", "3 - 4 = 1.", "(3 - 4)"),
    ("Tom has 3 pens. He buys 4 pens. How many pens?", "", "(3 + 4)"),
    ("Ann has 8 cups in 2 boxes. How many cups a box, if each box has the same?", "8 / 2 = 4 cups.", "(8 / 2)"),
    ("Ann has 8 cups in 2 boxes. How many cups a box, if each box has the same?", "8 / 2 = 4 cups.", "(8 / 2)"),
]


def question(i: int = 0, gold: str | None = "(3 + 4)") -> Question:
    text, _, _ = TEXTS[i]
    return Question(question_id=f"q{text[0]}", task="arithmetic", split="train", text=text, gold_label=gold)


def rationale(i: int) -> Rationale:
    text, reasoning, label = TEXTS[i]
    return Rationale(
        question_id=f"q{text[0]}",
        sample=i,
        split="train",
        text=f"{reasoning} The answer is {label}.",
        reasoning=reasoning,
        teacher_label=label,
        how="answer sentence",
        correct=None,
        wrong_steps=None,
    )


QUESTIONS = [question(0), question(3, "( 8.0 / 2.0 )")]
RATIONALES = [rationale(i) for i in range(len(TEXTS))]
TARGETS = rd_targets(QUESTIONS, RATIONALES, {}, "gold")


def tiny_t5(tokenizer) -> Student:
    set_seed(0)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_decoder_layers=1,
        num_heads=2,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )
    return Student(T5ForConditionalGeneration(config), tokenizer)


def tiny_gpt2(tokenizer) -> Student:
    set_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, n_positions=256)
    return Student(GPT2LMHeadModel(config), tokenizer)


def tiny_bart(tokenizer) -> Student:
    set_seed(0)
    special = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": tokenizer.bos_token_id}
    end = tokenizer.eos_token_id
    config = BartConfig(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=256, init_std=0.5,
        eos_token_id=end, decoder_start_token_id=end, forced_eos_token_id=end, **special,
    )  # fmt: skip
    model = BartForConditionalGeneration(config)
    model.final_logits_bias.normal_()
    return Student(model, tokenizer)


def tiny_llama(tokenizer) -> Student:
    set_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=256, pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    return Student(LlamaForCausalLM(config), tokenizer)


def beginning_tokenizer(texts: Iterable[str], template: str):
    """A tokenizer of words that puts <s> before a text: "<s> $A" as LLaMA's, "<s> $A </s>" as BART's."""
    return beginning(continuing_tokenizer(texts), template)


def beginning(tokenizer, template: str):
    ids = [(token, tokenizer.convert_tokens_to_ids(token)) for token in (BOS, EOS)]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=template, special_tokens=ids)
    return tokenizer


def spaces_tokenizer(texts: Iterable[str], scheme: str) -> PreTrainedTokenizerFast:
    """A tokenizer of parts of words to which a space is "▁", as SentencePiece's.

    scheme  of the space that it puts before a text: "first", "always" and "never" are Metaspace's own, which puts none
            where there is one; "LLaMA 2" puts one before any text, " a" -> ["▁", "▁a"]
    """
    tokenizer = Tokenizer(models.BPE(unk_token=UNK, fuse_unk=True))
    if scheme == "LLaMA 2":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")  # for the training: no token of 2 words
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    special = [UNK, BOS, EOS, PAD]
    trainer = trainers.BpeTrainer(special_tokens=special, vocab_size=160, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    if scheme == "LLaMA 2":
        tokenizer.pre_tokenizer = None
    names = {"pad_token": PAD, "eos_token": EOS, "unk_token": UNK, "bos_token": BOS}
    return beginning(PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names), f"{BOS} $A")


WORDS = [part for text in TEXTS for part in (" --> ###", *text)]
KINDS = {
    "encoder-decoder": lambda: tiny_t5(words_tokenizer(WORDS)),
    "decoder-only": lambda: tiny_gpt2(words_tokenizer(WORDS)),
    "as BART": lambda: tiny_bart(beginning_tokenizer(WORDS, "<s> $A </s>")),
    "as LLaMA": lambda: tiny_llama(beginning_tokenizer(WORDS, "<s> $A")),
}
