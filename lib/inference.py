"""What a student writes and how it judges.

predict(student, ["predict: Tom has ..."], max_tokens=32)     # ["(3 + 4)"], greedy
verdict_probabilities(student, ["Tom has 3 pens. ..."])       # [[.9, .08, .02]]: correct, wrong, uncertain
"""

from collections.abc import Sequence

import numpy as np
import torch

from lib.examples import PREDICT
from lib.losses import mean_by_row
from lib.records import VERDICTS
from lib.student import Student
from lib.training import Encoded, collate, task_nll


@torch.inference_mode()
def write(student: Student, sources: Sequence[str], max_tokens: int, batch: int = 128) -> list[str]:
    """The student's greedy output for each input text, in the given order; inputs of like length share a batch."""
    model, tokenizer = student.model.eval(), student.tokenizer
    ids = tokenizer(list(sources))["input_ids"] if sources else []
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    texts = [""] * len(ids)
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        inputs = tokenizer.pad({"input_ids": [ids[i] for i in rows]}, return_tensors="pt").to(model.device)
        output = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            max_new_tokens=max_tokens,
            do_sample=False,
            num_beams=1,
        )
        for row, tokens in zip(rows, output.tolist()):
            texts[row] = student.text(tokens)
    return texts


@torch.inference_mode()
def verdict_probabilities(student: Student, judged: Sequence[str], batch: int = 128) -> np.ndarray:
    """P(verdict | the shown text) among the three verdicts.

    judged    what the student is shown (`examples.judged_text`)
    returns   float[N, 3] in the order of `records.VERDICTS`; rows sum to 1
    """
    model, tokenizer = student.model.eval(), student.tokenizer
    targets = [tokenizer(verdict)["input_ids"] for verdict in VERDICTS]
    sources = tokenizer([PREDICT + text for text in judged])["input_ids"] if judged else []
    log_p = np.zeros((len(sources), len(VERDICTS)))
    order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        for column, target in enumerate(targets):
            encoded = [Encoded(((sources[i], target),)) for i in rows]
            inputs = collate(encoded, tokenizer.pad_token_id, model.config.decoder_start_token_id)
            [(nll, row, n)] = task_nll(model, to_device(inputs, model.device))
            log_p[rows, column] = -(mean_by_row(nll, row, n) * len(target)).double().cpu().numpy()
    p = np.exp(log_p - log_p.max(axis=1, keepdims=True, initial=-np.inf))
    return p / p.sum(axis=1, keepdims=True)


def to_device(batch, device):
    """A batch of nested dicts and lists of tensors, moved to a device."""
    if isinstance(batch, dict):
        return {key: to_device(value, device) for key, value in batch.items()}
    if isinstance(batch, list):
        return [to_device(value, device) for value in batch]
    return batch.to(device)
