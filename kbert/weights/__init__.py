"""Weights of other formats: one name table a format, one loader and one saver over any table (`table.py`).

kbert's own names, the keys of every dict of arrays here (V tokens, P positions, S segments, D width, F inner width,
C classes):

    embeddings/token [V, D]   embeddings/position [P, D]   embeddings/segment [S, D]   embeddings/norm/gamma, beta [D]
    layer_{i}/attention/query_key_value/kernel [D, 3D], bias [3D]     query | key | value side by side
    layer_{i}/attention/output/kernel [D, D], bias [D]                layer_{i}/attention_norm/gamma, beta [D]
    layer_{i}/widen/kernel [D, F], bias [F]                           layer_{i}/shrink/kernel [F, D], bias [D]
    layer_{i}/output_norm/gamma, beta [D]                             pooler/kernel [D, D], bias [D]
    classifier/kernel [D, C], bias [C]                                span/kernel [D, 2], bias [2]
    masked_tokens/transform/kernel [D, D], bias [D]                   masked_tokens/norm/gamma, beta [D]
    masked_tokens/bias [V]                                            next_sentence/kernel [D, 2], bias [2]
    scalar_mix/weights [layers], gamma [1]                            crf/transitions [C, C]

The modules that read and write (`google`, `huggingface`, `keras_hub`, `model_garden`) are imported by name; this
package loads none of them.
"""
