"""Laws of vectors of texts: pooling, losses against loops, and what a preset says of both.

B examples, S texts of each, T tokens, D width; all sizes differ.
"""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_cases import LENGTHS, REAL, SIZES, B, D, T, differ, inputs
from safetensors.numpy import load_file, save_file

from kbert import sentence_transformers
from kbert.config import BertConfig
from kbert.encoder import Encoder
from kbert.layout import Padded, Unpadded
from kbert.pooling import POOLINGS
from kbert.saving import save_model
from kbert.tasks.contrastive import ContrastiveLoss, CosineLoss, RankingLoss, allowed
from kbert.tasks.embed import Embedder

S = 3
BY_HAND = {
    "mean": lambda rows: rows.mean(axis=0),
    "cls": lambda rows: rows[0],
    "max": lambda rows: rows.max(axis=0),
}


def embedder(tokenizer=None, **arguments):
    return Embedder(BertConfig(**SIZES), tokenizer, seed=1, **arguments)


def stacked(seed=0):
    """Rows [S * B, T] and the same as examples [B, S, T]; in every text a word is drawn."""
    flat = inputs(np.tile(REAL, [S, 1]), seed)
    return flat, {name: tf.transpose(tf.reshape(ids, [S, B, T]), [1, 0, 2]) for name, ids in flat.items()}


@pytest.mark.parametrize("layout", [Unpadded, Padded])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_sees_the_real_tokens_of_each_text_alone(pooling, layout):
    model, texts = embedder(pooling=pooling, normalize=False), inputs()
    model.use_layout(layout)
    encoder = Encoder(BertConfig(**SIZES), seed=1)
    for name, weight in encoder.named_weights().items():
        weight.assign(model.named_weights()[name])
    tokens = encoder(texts)["sequence_output"].numpy()
    expected = np.stack([BY_HAND[pooling](row[:length]) for row, length in zip(tokens, LENGTHS, strict=True)])
    assert differ(model(texts), expected) < 1e-5
    assert model(texts).dtype == "float32"


def test_vectors_have_length_one_where_that_is_asked_for():
    texts = inputs()
    plain, unit = embedder(normalize=False)(texts).numpy(), embedder()(texts).numpy()
    lengths = np.linalg.norm(plain, axis=1, keepdims=True)
    assert np.abs(lengths - 1).max() > 0.1
    assert differ(unit, plain / lengths) < 1e-6


def test_stacked_texts_have_the_vectors_that_they_have_alone():
    flat, examples = stacked()
    model = embedder()
    expected = np.swapaxes(model(flat).numpy().reshape(S, B, D), 0, 1)
    assert model(examples).shape == (B, S, D)
    assert differ(model(examples), expected) < 1e-6


def test_nothing_learns_the_pooler():
    model = embedder()
    assert not [weight.path for weight in model.trainable_variables if "pooler" in weight.path]
    assert [name for name in model.named_weights() if name.startswith("pooler/")]


# Losses: every one against a loop over its definition


def cosine(left, right):
    return left @ right / np.linalg.norm(left) / np.linalg.norm(right)


def ranking_by_hand(vectors, numbers, scale):
    losses = []
    for i, row in enumerate(vectors):
        total = right = np.exp(scale * cosine(row[0], row[1]))
        for j, other in enumerate(vectors):
            for s in range(1, len(row)):
                wrong = numbers[j][s] not in numbers[i][:2] and not (s == 1 and numbers[j][0] == numbers[i][0])
                if wrong:
                    total += np.exp(scale * cosine(row[0], other[s]))
        losses.append(np.log(total) - np.log(right))
    return np.array(losses)


NUMBERS = {
    "all differ": [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11], [12, 13, 14]],
    "equal positives": [[0, 1, 2], [3, 1, 5], [6, 7, 8], [9, 7, 11], [12, 13, 14]],
    "equal anchors": [[0, 1, 2], [0, 4, 5], [6, 7, 8], [6, 10, 11], [12, 13, 14]],
    "a negative that is another's positive": [[0, 1, 4], [3, 4, 1], [6, 7, 13], [9, 10, 9], [12, 13, 14]],
}


@pytest.mark.parametrize("numbers", NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize("stack", [2, 3])
def test_ranking_is_the_share_of_the_own_positive_among_what_may_stand_there(numbers, stack):
    vectors = np.random.default_rng(4).normal(size=[B, S, D])[:, :stack]
    numbers = np.array(numbers)[:, :stack]
    found = RankingLoss(scale=3.0, reduction="none")(numbers, vectors.astype("float32"))
    assert differ(found, ranking_by_hand(vectors, numbers, 3.0)) < 1e-5


def test_symmetric_ranking_is_the_mean_of_both_ways():
    vectors = np.random.default_rng(5).normal(size=[B, 2, D])
    numbers = np.array(NUMBERS["equal anchors"])[:, :2]
    found = RankingLoss(scale=3.0, symmetric=True, reduction="none")(numbers, vectors.astype("float32"))
    ways = ranking_by_hand(vectors, numbers, 3.0), ranking_by_hand(vectors[:, ::-1], numbers[:, ::-1], 3.0)
    assert differ(found, np.mean(ways, axis=0)) < 1e-5
    assert differ(*ways) > 1e-3


def test_an_own_positive_may_always_stand_there():
    assert allowed(keras.ops.convert_to_tensor([[7, 7], [7, 7]])).numpy().tolist() == [[True, False], [False, True]]


def test_cosine_and_contrastive_losses_are_their_formulas():
    vectors = np.random.default_rng(6).normal(size=[B, 2, D])
    found = np.array([cosine(*pair) for pair in vectors])
    scores, labels = np.linspace(0, 1, B), np.array([0, 1, 1, 0, 1])
    ours = CosineLoss(reduction="none")(scores, vectors.astype("float32"))
    assert differ(ours, (found - scores) ** 2) < 1e-5
    far = np.maximum(0.7 - (1 - found), 0)
    ours = ContrastiveLoss(margin=0.7, reduction="none")(labels, vectors.astype("float32"))
    assert differ(ours, 0.5 * np.where(labels == 1, (1 - found) ** 2, far**2)) < 1e-5
    assert far.max() > 0 and far.min() == 0  # both sides of the margin


@pytest.mark.parametrize("loss", [RankingLoss(scale=7.0, symmetric=True), CosineLoss(), ContrastiveLoss(margin=0.3)])
def test_losses_come_back_from_their_config(loss):
    again = type(loss).from_config(loss.get_config())
    assert again.get_config() == loss.get_config()


LEARNED = {
    "ranking": lambda first, second: np.stack([first, second], axis=1),
    "cosine": lambda first, second: (first == second).astype("float32"),
    "contrastive": lambda first, second: (first == second).astype("float32"),
}


@pytest.mark.parametrize("objective", LEARNED)
def test_every_objective_is_learned(objective):
    """Texts of one word: every other pair is of one word, the rest of two."""
    first = np.random.default_rng(7).permutation(np.arange(5, 21))
    second = np.where(np.arange(16) % 2, first, np.roll(first, 2))
    words = np.stack([first, second], axis=1)[:, :, None]
    rows = np.concatenate([np.full_like(words, 2), words, np.full_like(words, 3)], axis=2)  # [16, 2, 3]
    texts = {"input_word_ids": rows, "input_mask": np.ones_like(rows), "input_type_ids": np.zeros_like(rows)}
    texts = {name: tf.constant(values, tf.int32) for name, values in texts.items()}
    model = embedder(objective=objective)
    model.compile(keras.optimizers.Adam(0.02))
    batches = tf.data.Dataset.from_tensors((texts, LEARNED[objective](first, second)))
    before = model.evaluate(batches, verbose=0)
    model.fit(batches.repeat(30), steps_per_epoch=30, epochs=1, verbose=0)
    assert model.evaluate(batches, verbose=0) < before * 0.8


# What a preset says


@pytest.fixture
def preset(tiny_vocabulary, tmp_path):
    tokenizer = {"vocabulary": str(tiny_vocabulary), "lowercase": True, "strip_accents": None, "split_cjk": True}
    config = {**SIZES, "vocab_size": 28}
    model = Embedder(BertConfig(**config), tokenizer, seed=1, pooling="max", normalize=False, max_length=9)
    return model, save_model(tmp_path / "preset", model)


def test_a_saved_embedder_comes_back_with_its_pooling(preset):
    model, folder = preset
    again, texts = Embedder.from_preset(str(folder)), inputs()
    assert (again.pooling, again.normalize, again.max_length, again.objective) == ("max", False, 9, "ranking")
    assert differ(again(texts), model(texts)) == 0
    assert Embedder.from_preset(str(folder), pooling="cls").pooling == "cls"
    assert differ(Embedder.from_config(model.get_config())(texts), embedder_like(model)(texts)) == 0


def test_a_preset_may_lack_the_pooler(preset):
    model, folder = preset
    arrays = load_file(folder / "model.safetensors")
    kept = {name: array for name, array in arrays.items() if "pooler" not in name}
    assert len(kept) == len(arrays) - 2
    save_file(kept, folder / "model.safetensors")
    again = Embedder.from_preset(str(folder))
    assert set(again.new_weights) == {"pooler/kernel", "pooler/bias"}
    assert differ(again(inputs()), model(inputs())) == 0


def embedder_like(model):
    return Embedder(model.config, model.tokenizer, seed=1, pooling="max", normalize=False, max_length=9)


def test_sentence_transformers_files_are_written_and_tell_the_pooling_of_others(preset):
    _, folder = preset
    assert sentence_transformers.read(folder) == {"pooling": "max", "normalize": False, "max_length": 9}
    config = json.loads((folder / "config.json").read_text())
    del config["kbert"]
    (folder / "config.json").write_text(json.dumps(config))
    again = Embedder.from_preset(str(folder))
    assert (again.pooling, again.normalize, again.max_length) == ("max", False, 9)
    for pooling, normalize in (("mean", True), ("cls", False)):
        sentence_transformers.write(folder, pooling, normalize, D, 5)
        assert sentence_transformers.read(folder) == {"pooling": pooling, "normalize": normalize, "max_length": 5}
    (folder / "modules.json").unlink()
    again = Embedder.from_preset(str(folder))
    assert (again.pooling, again.normalize, again.max_length) == ("mean", True, SIZES["max_position_embeddings"])


BAD = {
    "modules.json": ("{", "modules.json must be JSON"),
    "1_Pooling/config.json": ('{"pooling_mode_weightedmean_tokens": true}', "weightedmean"),
    "modules.json ": ('[{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]', "got 'Dense'"),
    "modules.json  ": ("{}", "must hold a JSON list"),
}


@pytest.mark.parametrize("name", BAD)
def test_parts_that_an_embedder_has_not_are_told(name, preset):
    content, message = BAD[name]
    (preset[1] / name.strip()).write_text(content)
    with pytest.raises(ValueError, match=message):
        sentence_transformers.read(preset[1])


@pytest.mark.parametrize("wrong", [{"pooling": "sum"}, {"objective": "triplet"}])
def test_names_that_there_are_not_are_told(wrong):
    with pytest.raises(ValueError, match="is one of"):
        embedder(**wrong)


def test_minilm_is_pooled_as_its_own_files_say(shared_data):
    try:
        model = Embedder.from_preset("minilm-l6")
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert (model.pooling, model.normalize, model.max_length) == ("mean", True, 256)
    golden = np.load(shared_data / "golden" / "minilm_l6.npz")
    ids, mask, types = (golden[f"single_input_{name}"] for name in ("word_ids", "mask", "type_ids"))
    tensors = {"input_word_ids": ids, "input_mask": mask, "input_type_ids": types}
    found = model({name: tf.constant(values, tf.int32) for name, values in tensors.items()})
    tokens, real = golden["single_sequence_output"], mask[:, :, None]
    mean = (tokens * real).sum(1) / real.sum(1)
    assert differ(found, mean / np.linalg.norm(mean, axis=1, keepdims=True)) < 1e-5
