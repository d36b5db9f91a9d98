"""A preset in another layout than it came in, tensor for tensor."""

import os

from kbert.presets import Preset, open_preset
from kbert.saving import save_preset
from kbert.weights.assign import check_shapes
from kbert.weights.table import HEADS, shapes


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    layout: str | None = None,
    lowercase: bool | None = None,
    overwrite: bool = False,
    heads: bool = True,
) -> Preset:
    """Write a preset in another layout, tensor for tensor.

    Args:
        source: anything that `open_preset` takes and that has weights.
        target: folder to write; see `kbert.saving.save_preset`.
        layout: "huggingface", "google" or "keras_hub"; by default Google's for Hugging Face's, which others become.
        lowercase: for a folder of which nothing tells whether it is cased.
        overwrite: replace the files of an earlier preset.
        heads: take what sits on the encoder along; KerasHub's backbone has no place for it.

    Returns:
        The preset written, opened.

    Raises:
        ValueError: a source without weights, tensors that are missing, mis-shaped or have no name in kbert (lists them
            all), or a config that the layout cannot say.
        FileExistsError: the target has files of a preset and `overwrite` is False.
    """
    preset = open_preset(source, lowercase=lowercase)
    arrays = preset.read_weights()
    if arrays is None:
        raise ValueError(f"Only a preset with weights can be converted; got {preset.source!r}, which has random ones.")
    check_shapes(shapes(preset.config), arrays, absent=("pooler/",), source=preset.source)
    arrays = arrays if heads else {name: array for name, array in arrays.items() if not name.startswith(HEADS)}
    layout = layout or ("google" if preset.layout == "huggingface" else "huggingface")
    if layout == "keras_hub":
        from kbert.weights import keras_hub_preset

        keras_hub_preset.save(target, preset.config, arrays, preset.tokenizer, overwrite=overwrite)
    else:
        labels = None if "id2label" in preset.config.extras() else preset.labels  # a config keeps its own
        save_preset(target, preset.config, arrays, preset.tokenizer, labels=labels, layout=layout, overwrite=overwrite)
    return open_preset(target)
