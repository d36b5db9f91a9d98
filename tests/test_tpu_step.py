"""The step of pre-training as a TPU would get it: XLA compiles all of it, every shape is static, nothing is the host's.

No TPU is here; what XLA makes for a CPU is looked at. A TPU's compiler takes the same program.
"""

import re
from dataclasses import replace

import numpy as np
import pytest
import replica_cases
import tensorflow as tf

import kbert
from kbert.layout import Static
from pipelines.documents import Corpus
from pipelines.pretraining import pretraining
from pipelines.pretraining_data import PretrainingData

ROWS, LENGTH = 8, 16
HOSTS = ("infeed", "outfeed", "send", "recv", "custom-call", "set-dimension-size", "get-dimension-size")


@pytest.fixture
def packed(tiny_vocabulary, tmp_path):
    """A function of pairs -> a batch of several examples a row, as `kbert pretrain --packed` makes it."""
    text = tmp_path / "text.txt"
    text.write_text("\n\n".join(["the cat sat .\nthe dog ran .\na very good film ."] * 40), encoding="utf-8")

    def batch(model, pairs: str):
        data = PretrainingData(max_length=LENGTH, objective=pairs, packed=True, short_share=0.0)
        return next(iter(pretraining(Corpus.find(text), model.tokenizer_spec, data, batch_size=ROWS)))

    config = replace(replica_cases.TINY, vocab_size=28, max_position_embeddings=LENGTH)
    return config, {"vocabulary": str(tiny_vocabulary), "lowercase": True}, batch


@pytest.mark.parametrize(
    ("objective", "accumulate", "recompute"),
    [("contiguous", 1, False), ("contiguous", 2, True), ("next_sentence", 1, False)],
)
def test_the_step_is_one_static_program(packed, objective, accumulate, recompute):
    config, tokenizer, batch_of = packed
    pairs = objective != "contiguous"
    kwargs = {"dtype": "mixed_bfloat16", "next_sentence": pairs, "recompute": recompute}
    model = kbert.Pretrainer(config, tokenizer, **kwargs)
    model.compile(kbert.adamw(1e-3, total_steps=10), accumulate=accumulate)
    model.optimizer.build(model.trainable_variables)
    assert model.layout is Static
    batch = batch_of(model, objective)
    step = tf.function(model.train_step, jit_compile=True, autograph=False)
    program = step.experimental_get_compiler_ir(batch)(stage="hlo")

    operations = set(re.findall(r"= \S+ ([a-z][a-z0-9-]*)\(", program))
    assert {"dot", "reduce"} <= operations and "bf16[" in program, "this is the step"
    assert not operations & set(HOSTS)
    assert "<=" not in program, "a dimension that is known only when it runs"

    twin = kbert.Pretrainer(config, tokenizer, **kwargs)
    twin.compile(kbert.adamw(1e-3, total_steps=10), accumulate=accumulate)
    for one in (step, tf.function(twin.train_step, autograph=False)):
        loss = one(batch)["loss"]
        assert np.isfinite(loss)
    for a, b in zip(model.trainable_variables, twin.trainable_variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=2e-3, err_msg=a.path)
