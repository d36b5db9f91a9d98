"""Encoder: identical post-norm blocks over embedded tokens (Devlin et al. 2019, section 3).

B batch, T tokens, N real tokens in the batch, D width, H heads, F inner width.
"""

import functools

import keras
from keras import ops

from kbert import chains
from kbert.activations import activation
from kbert.attention import SelfAttention
from kbert.config import BertConfig
from kbert.dropout import dropout, site_seed
from kbert.embeddings import Embeddings
from kbert.layout import Layout, Unpadded
from kbert.norm import LayerNorm
from kbert.text_model import TextModel


class Block(keras.layers.Layer):
    """x = norm(x + attention(x)); x = norm(x + shrink(activation(widen(x)))), dropout before each sum.

    Args:
        config: the encoder's sizes, rates and activation.
        kernel_initializer: name -> initializer.
        dtype: Keras dtype or policy.

    Shapes: [N, D] -> [N, D].
    """

    def __init__(self, config: BertConfig, kernel_initializer, **kwargs):
        super().__init__(autocast=False, **kwargs)
        width, epsilon, dtype = config.hidden_size, config.layer_norm_eps, self.dtype_policy
        self.rate = config.hidden_dropout_prob
        self.activation, self.activation_name = activation(config.hidden_act), config.hidden_act
        self.attention = SelfAttention(
            width,
            config.num_attention_heads,
            config.attention_probs_dropout_prob,
            lambda name: kernel_initializer(f"attention/{name}"),
            dtype=dtype,
            name="attention",
        )
        self.attention_norm = LayerNorm(epsilon, name="attention_norm")
        self.widen = keras.layers.Dense(
            config.intermediate_size, kernel_initializer=kernel_initializer("widen"), dtype=dtype, name="widen"
        )
        self.shrink = keras.layers.Dense(
            width, kernel_initializer=kernel_initializer("shrink"), dtype=dtype, name="shrink"
        )
        self.output_norm = LayerNorm(epsilon, name="output_norm")

    def build(self, input_shape):
        for part in (self.attention, self.attention_norm, self.widen, self.output_norm):
            part.build(input_shape)
        self.shrink.build((None, self.widen.units))

    def call(self, x, layout: Layout, seed=None):
        if layout.compiles and seed is not None:
            return self._in_chains(x, layout, seed)
        attended = ops.cast(self.attention(x, layout=layout, seed=site_seed(seed, 0, a_row=1)), "float32")
        x = self.attention_norm(x + dropout(attended, self.rate, site_seed(seed, 1)))  # [N, D]
        shrunk = ops.cast(self.shrink(self.activation(self.widen(x))), "float32")  # [N, D] -> [N, F] -> [N, D]
        return self.output_norm(x + dropout(shrunk, self.rate, site_seed(seed, 2)))  # [N, D]

    def _in_chains(self, x, layout: Layout, seed):
        """The same for training on batches of one shape, which pays the compilation of its elementwise parts."""
        project = self.attention.project
        context = self.attention.context(ops.cast(x, self.compute_dtype), layout, site_seed(seed, 0, a_row=1))
        attended = chains.product(project, context)
        x = chains.add_and_norm(x, attended, project.bias, self.attention_norm, self.rate, site_seed(seed, 1))
        inner = chains.activate(chains.product(self.widen, x), self.widen.bias, self.activation_name)
        shrunk = chains.product(self.shrink, inner)
        return chains.add_and_norm(x, shrunk, self.shrink.bias, self.output_norm, self.rate, site_seed(seed, 2))


@keras.saving.register_keras_serializable("kbert")
class Encoder(TextModel):
    """BERT without a head: three id tensors in, vectors out.

    Inputs are a dict of int32 [B, T]: `input_word_ids`, `input_mask` (1 = a token, and every row starts with one) and
    `input_type_ids` (0 first text, 1 second). Outputs are a dict: `sequence_output` [B, T, D], zero at padding;
    `pooled_output` [B, D], tanh of a projection of [CLS]; `encoder_outputs`, the [B, T, D] of every block, last one
    last.

    Short examples that share a row are told apart by a fourth input, `input_example_ids` (see `kbert.layout`).

    Args: see `TextModel`; and
        tied: a head reads the token table too.
        recompute: forget what is inside of a block, and compute it again for the gradient: less memory, a third more
            time (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost").

    Example:
    >>> from kbert import SIZES, Encoder
    >>> encoder = Encoder(SIZES["tiny"])
    >>> ids = keras.ops.convert_to_tensor([[101, 7592, 102, 0], [101, 7592, 2088, 102]])
    >>> mask = keras.ops.cast(ids > 0, "int32")
    >>> outputs = encoder({"input_word_ids": ids, "input_mask": mask, "input_type_ids": 0 * ids})
    >>> outputs["sequence_output"].shape.as_list(), outputs["pooled_output"].shape.as_list()
    ([2, 4, 128], [2, 128])

    References: Devlin et al. 2019, https://arxiv.org/abs/1810.04805; google-research/bert modeling.py.
    """

    def __init__(
        self,
        config: BertConfig,
        tokenizer=None,
        labels=None,
        seed: int = 0,
        *,
        tied: bool = False,
        recompute: bool = False,
        **kwargs,
    ):
        super().__init__(config, tokenizer, labels, seed, **kwargs)
        self.tied, self.recompute = tied, recompute
        width, dtype = config.hidden_size, self.dtype_policy
        self.embeddings = Embeddings(
            (config.vocab_size, config.max_position_embeddings, config.type_vocab_size),
            width,
            config.hidden_dropout_prob,
            config.layer_norm_eps,
            lambda name: self.initializer(f"embeddings/{name}"),
            tied=tied,
            dtype=dtype,
            name="embeddings",
        )
        self.blocks = [self._block(f"layer_{i}") for i in range(config.num_hidden_layers)]
        self.pooler = keras.layers.Dense(
            width, "tanh", kernel_initializer=self.initializer("pooler"), dtype=dtype, name="pooler"
        )
        self._layout: type[Layout] = Unpadded
        for part in (self.embeddings, *self.blocks, self.pooler):
            part.build((None, width))
        self.built = True

    def _block(self, name: str) -> Block:
        return Block(self.config, lambda part: self.initializer(f"{name}/{part}"), dtype=self.dtype_policy, name=name)

    @property
    def layout(self) -> type[Layout]:
        return self._layout

    def use_layout(self, layout: type[Layout]) -> type[Layout]:
        before, self._layout = self._layout, layout
        return before

    def encode(self, inputs: dict, seed=None) -> tuple[Layout, list]:
        """The layout of the batch and every block's output [N, D], for heads that need no more than some tokens."""
        layout, layers = self.encode_layers(inputs, seed)
        return layout, layers[1:]

    def encode_layers(self, inputs: dict, seed=None) -> tuple[Layout, list]:
        """As `encode`, with the embeddings [N, D] before the blocks' outputs: layer 0, which knows no context.

        Up to the first part that has something to learn nothing is dropped, and no gradient goes back there.
        """
        layout = self.layout(inputs["input_mask"], inputs.get("input_example_ids"))
        # Cast, which is nothing where they are int32: Keras builds a model under tf.distribute on made-up float inputs.
        ids, types = (
            ops.cast(layout.to_tokens(inputs[name]), "int32") for name in ("input_word_ids", "input_type_ids")
        )  # [N]
        frozen = not self.embeddings.trainable_variables
        x = self.embeddings(ids, types, layout=layout, seed=None if frozen else site_seed(seed, 0))
        outputs = [x]
        for i, block in enumerate(self.blocks):
            if frozen and seed is not None:
                x = ops.stop_gradient(x)
            frozen = frozen and not block.trainable_variables
            noise = None if frozen else site_seed(seed, 1 + 3 * i)
            run = functools.partial(block, layout=layout, seed=noise)
            x = keras.remat(run)(x) if self.recompute and noise is not None else run(x)
            outputs.append(x)
        if frozen and seed is not None:
            outputs = [ops.stop_gradient(x) for x in outputs]
        return layout, outputs

    def pool(self, layout: Layout, tokens):
        """tanh(W [CLS] + b): [N, D] -> [B, D]."""
        return self.pooler(layout.first(tokens))

    def get_config(self):
        return {**super().get_config(), "tied": self.tied, "recompute": self.recompute}

    def call(self, inputs, training=False):
        layout, outputs = self.encode(inputs, self.noise_seed(training))
        real = ops.cast(inputs["input_mask"], "float32")[:, :, None]  # [B, T, 1]
        rows = [layout.to_rows(tokens, self.config.hidden_size) * real for tokens in outputs]
        return {
            "sequence_output": rows[-1],
            "pooled_output": self.pool(layout, outputs[-1]),
            "encoder_outputs": rows,
        }
