"""Low-rank updates of the matrices of an encoder's blocks (Hu et al. 2022, LoRA), by Keras' own `Dense.enable_lora`.

A kernel W [D, F] stays as it is; W + alpha / rank * A B is used, A [D, rank] and B [rank, F] are learned. B starts at
0, so that the first step sees the preset's answers. Merged, the model is an ordinary one.
"""

import zlib

import keras

KERNELS = ("query_key_value", "output", "widen", "shrink")


def add_lora(model, rank: int, alpha: float | None = None) -> None:
    """Gives every matrix of every block of `model.encoder` its A and B; a function of the model's seed and the names.

    What learns is then said by `kbert.freezing.freeze_weights`.

    Args:
        model: a `TextModel` with an `encoder`.
        rank: 1 or more.
        alpha: the updates count alpha / rank; None for rank.
    """
    for dense in _matrices(model):
        name = f"{dense._kernel.path}/lora"
        seed = zlib.crc32(f"{model.seed}/{name}".encode()) & 0x7FFFFFFF
        dense.enable_lora(rank, alpha, a_initializer=keras.initializers.HeUniform(seed=seed))


def merge_lora(model) -> None:
    """Adds the updates to the kernels, and takes A and B away: the answers are the same, up to rounding."""
    for dense in _matrices(model):
        if not dense.lora_enabled:
            continue
        dense._kernel.assign(_merged(dense))
        dense.lora_kernel_b.assign(keras.ops.zeros_like(dense.lora_kernel_b.value))  # traced functions may add it
        for name in ("lora_kernel_a", "lora_kernel_b"):
            dense._untrack_variable(getattr(dense, name))
        dense.lora_enabled, dense.lora_rank = False, None
        dense._kernel.trainable = True


def merged_weights(model) -> dict:
    """The model's weights by name as `merge_lora` would leave them; the model itself stays as it is."""
    merged = {name: weight for name, weight in model.named_weights().items() if "/lora_kernel_" not in name}
    return merged | {dense._kernel.path: _merged(dense) for dense in _matrices(model) if dense.lora_enabled}


def has_lora(model) -> bool:
    """Whether some matrix has updates that are not merged."""
    return any(dense.lora_enabled for dense in _matrices(model))


def _merged(dense):
    low = keras.ops.matmul(dense.lora_kernel_a.value, dense.lora_kernel_b.value)
    return dense._kernel.value + (dense.lora_alpha / dense.lora_rank) * low  # [D, F]


def _matrices(model) -> list:
    blocks = getattr(model, "encoder", model).blocks
    return [
        dense
        for block in blocks
        for dense in (block.attention.query_key_value, block.attention.project, block.widen, block.shrink)
    ]
