"""A model of the usual kind (Llama, byte-level BPE, chat template) whose next word depends on the last one alone.

    save_model(tmp_path / "model", samples=True)
    # completes "...\\nA:" with " Adding 3 to 4 gives seven. The answer is (3 + 4).\\n\\nQ: Next?", or with
    # " Joining" for " Adding", and "...\\nEvaluation:" with " Every step holds. Evaluation result: correct."

Random weights write no answers, and training some would take minutes, so the weights are set by hand: attention and
feed-forward layers add nothing, each word of CHAINS has an embedding of its own, and the output layer maps it to its
successor. All that a server does is as with any other model: load, tokenise, sample, stop, count.
"""

from itertools import pairwise
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lib import paths

END = "<end>"
CHAINS = (
    ("A:", " Adding", " 3", " to", " 4", " gives", " seven.", " The", " answer", " is", " (3", " +", " 4).",
     "\n\n", "Q:", " Next?", END),
    ("A:", " Joining", " 3"),
    ("Evaluation:", " Every", " step", " holds.", " Evaluation", " result:", " correct.", END),
)  # fmt: skip
LOGIT = 20.0  # of a word's successor; all others have 0
SECOND = 19.9  # of " Joining": greedy text has " Adding", at temperature 0.7 almost half of the texts " Joining"
TEMPLATE = """{% for message in messages %}{{ message['content'] }}

{% endfor %}{{ 'Evaluation:' if messages[-1]['content'].startswith('Question: ') else 'A:' }}"""


def save_model(folder: Path, samples: bool) -> PreTrainedTokenizerFast:
    """Write model and tokenizer as `from_pretrained` reads them; returns the tokenizer.

    samples   whether the model's own generation settings say to sample, as those of chat models do
    """
    tokenizer = _tokenizer()
    words = list(dict.fromkeys(word for chain in CHAINS for word in chain))
    model = _model(tokenizer, {word: _id(tokenizer, word) for word in words})
    model.generation_config = GenerationConfig(do_sample=samples, eos_token_id=tokenizer.eos_token_id)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return tokenizer


def _id(tokenizer: PreTrainedTokenizerFast, word: str) -> int:
    """The one token that a word is; ValueError if it is several."""
    [token] = tokenizer(word)["input_ids"]
    return token


def _tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE, trained on the prompts, with each word of CHAINS so often that it becomes one token."""
    bpe = Tokenizer(models.BPE())
    words_with_space = pre_tokenizers.Split(Regex(r" ?\S+|\s+"), "isolated")
    in_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([words_with_space, in_bytes])
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2000, special_tokens=[END], initial_alphabet=in_bytes.alphabet(), show_progress=False
    )
    prompts = sorted((paths.ROOT / "lib" / "teacher" / "prompts").glob("arithmetic.*.txt"))
    texts = ["".join(word for word in chain if word != END) for chain in CHAINS] * 1000
    bpe.train_from_iterator([*texts, *(path.read_text("utf-8") for path in prompts)], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=END, chat_template=TEMPLATE)


def _model(tokenizer: PreTrainedTokenizerFast, ids: dict[str, int]) -> LlamaForCausalLM:
    width = len(ids) + len(ids) % 2  # one dimension a word; rotary positions want an even number
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=width, num_hidden_layers=1,
        num_attention_heads=1, num_key_value_heads=1, head_dim=width, max_position_embeddings=8192,
        tie_word_embeddings=False, eos_token_id=tokenizer.eos_token_id, bos_token_id=None,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    place = {word: i for i, word in enumerate(ids)}
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.zero_()
        model.lm_head.weight.zero_()
        for word, token in ids.items():
            model.model.embed_tokens.weight[token, place[word]] = 1
        for chain in CHAINS:
            for word, following in pairwise(chain):
                # A normalised one-hot vector is sqrt(width) long.
                logit = SECOND if following == " Joining" else LOGIT
                model.lm_head.weight[ids[following], place[word]] = logit / width**0.5
    return model
