"""Cross-entropy over a vocabulary: the widest product of pre-training and its softmax, in few passes over [M, V].

M masked tokens, D width, V vocabulary.
"""

import tensorflow as tf

SMALLEST = 1e-37  # a probability below it counts as this much: a loss stays finite
LANES = 32  # the columns of a product come in multiples of it, or the last ones take as long as so many


def vocabulary_cross_entropy(x, table, bias, labels, weights, dtype: str) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Sums over rows: of weight * -log softmax(x E^T + b)[label], of the weights of right answers, and of the weights.

    The bias is one more column of E, that meets a 1 in x: adding it to a product of this size costs several times the
    product. The gradient is that of the softmax, (p - onehot) * weight, of which the one-hot part never is a matrix.

    Args:
        x: float32 [M, D].
        table, bias: E float32 [V, D] and b float32 [V].
        labels: int32 [M].
        weights: float32 [M].
        dtype: of products and probabilities; a loss is computed in float32 of a probability in this type.
    """

    @tf.custom_gradient
    def forward(x, table, bias):
        width = table.shape[1]
        spare = -(width + 1) % LANES
        columns = tf.concat([tf.cast(table, dtype), tf.cast(bias, dtype)[:, None], _zeros(table, spare, dtype)], axis=1)
        ones = tf.ones([tf.shape(x)[0], 1], dtype)
        rows = tf.concat([tf.cast(x, dtype), ones, _zeros(x, spare, dtype)], axis=1)
        probabilities = tf.nn.softmax(tf.matmul(rows, columns, transpose_b=True))  # [M, V]
        chosen = tf.gather(probabilities, labels, axis=1, batch_dims=1)  # [M]
        losses = -tf.math.log(tf.maximum(tf.cast(chosen, tf.float32), SMALLEST))
        right = tf.cast(_ordered(chosen) >= tf.reduce_max(_ordered(probabilities), axis=1), tf.float32)

        def gradient(*upstream):
            scale = (upstream[0] * weights)[:, None]  # [M, 1]
            scaled = tf.cast(tf.cast(rows, tf.float32) * scale, dtype)
            into_columns = tf.cast(tf.matmul(probabilities, scaled, transpose_a=True), tf.float32)  # [V, D + 1 + spare]
            into_rows = tf.cast(tf.matmul(probabilities, columns)[:, :width], tf.float32)
            into_rows = scale * (into_rows - tf.gather(table, labels))
            at = labels[:, None]
            into_table = tf.tensor_scatter_nd_sub(into_columns[:, :width], at, x * scale)
            return into_rows, into_table, tf.tensor_scatter_nd_sub(into_columns[:, width], at, scale[:, 0])

        return (tf.reduce_sum(losses * weights), tf.reduce_sum(right * weights)), gradient

    return *forward(x, tf.convert_to_tensor(table), tf.convert_to_tensor(bias)), tf.reduce_sum(weights)


def _zeros(like: tf.Tensor, columns: int, dtype: str) -> tf.Tensor:
    return tf.zeros([tf.shape(like)[0], columns], dtype)


def _ordered(probabilities: tf.Tensor) -> tf.Tensor:
    """Integers in the order of floats that are 0 or more: a CPU finds the greatest of them in a tenth of the time."""
    return tf.bitcast(probabilities, {2: tf.int16, 4: tf.int32}[probabilities.dtype.size])
