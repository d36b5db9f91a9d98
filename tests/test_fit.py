"""Laws of training with Keras' fit, over every model that has a loss."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_cases import CASES, differ, every_trained_model, inputs, toy, weights_of

from kbert.optimizer import adamw


@every_trained_model
def test_fit_learns_a_toy_task_with_no_loss_given(case):
    model = case.make(initializer_range=0.1, num_hidden_layers=1)
    model.compile(adamw(2e-2))
    history = model.fit(toy(case), epochs=12, verbose=0).history
    assert history["loss"][-1] < 0.6 * history["loss"][0]
    assert model.evaluate(toy(case), verbose=0, return_dict=True)["loss"] < 0.6 * history["loss"][0]


@every_trained_model
def test_predict_is_call_batch_by_batch(case):
    model = case.make()
    model.compile()
    dataset = tf.data.Dataset.from_tensor_slices(inputs()).batch(2)
    predicted = case.per_text(model.predict(dataset, verbose=0))
    assert differ(predicted, case.per_text(model(inputs()))) < 1e-5


@every_trained_model
def test_fit_takes_arrays_and_positional_arguments_as_keras_does(case):
    model = case.make(num_hidden_layers=1)
    model.compile(adamw(1e-3))
    tensors, labels = next(iter(toy(case, batch=16)))
    arrays = {name: x.numpy() for name, x in tensors.items()}
    history = model.fit(arrays, labels.numpy(), 8, 2, 0)
    assert len(history.history["loss"]) == 2


@every_trained_model
@pytest.mark.parametrize("settings", [{"run_eagerly": True}, {"steps_per_execution": 2}], ids=lambda x: next(iter(x)))
def test_settings_of_compile_change_no_result(case, settings):
    ends = []
    for given in ({}, settings):
        model = case.make(num_hidden_layers=1)
        model.compile(adamw(1e-2), **given)
        model.fit(toy(case, count=32), verbose=0)
        ends.append(weights_of(model))
    assert all(differ(ends[0][name], ends[1][name]) < 1e-5 for name in ends[0])


@every_trained_model
def test_what_is_frozen_stays(case):
    model = case.make(num_hidden_layers=1)
    model.encoder.trainable = False
    model.compile(adamw(1e-2))
    before = weights_of(model)
    model.fit(toy(case, count=16), verbose=0)
    changed = {name for name, after in weights_of(model).items() if differ(before[name], after)}
    assert changed == set(case.head)


@every_trained_model
def test_fit_weighs_examples(case):
    """Examples of weight 0 teach nothing."""
    model = case.make(num_hidden_layers=1)
    model.compile(adamw(1e-3, weight_decay=0.0))
    before = weights_of(model)
    model.fit(toy(case).map(lambda x, y: (x, y, tf.zeros(tf.shape(y)[:1]))), verbose=0)
    assert all(differ(before[name], after) == 0 for name, after in weights_of(model).items())


@every_trained_model
def test_any_keras_callback_works(case, tmp_path):
    model, seen = case.make(num_hidden_layers=1), []
    model.compile(adamw(1e-3), metrics=None)
    best = tmp_path / "best.weights.h5"
    callbacks = [
        keras.callbacks.EarlyStopping(monitor="loss", min_delta=1e9, patience=1),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(sorted(logs))),
        keras.callbacks.TensorBoard(tmp_path / "logs", histogram_freq=1),
        keras.callbacks.ModelCheckpoint(best, monitor="val_loss", save_best_only=True, save_weights_only=True),
        keras.callbacks.ModelCheckpoint(tmp_path / "epoch-{epoch}.keras"),
        keras.callbacks.BackupAndRestore(tmp_path / "backup"),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.TerminateOnNaN(),
    ]
    model.fit(toy(case), epochs=5, validation_data=toy(case, count=16), callbacks=callbacks, verbose=0)
    assert len(seen) == 2  # stopped: nothing falls by 1e9
    assert {"loss", "val_loss"} <= set(seen[0])
    assert best.is_file()
    assert list((tmp_path / "logs").rglob("events.out.*"))
    loaded = keras.saving.load_model(tmp_path / "epoch-2.keras")
    assert differ(case.per_text(loaded(inputs())), case.per_text(model(inputs()))) < 1e-6


@every_trained_model
def test_a_saved_model_trains_on_as_if_never_stopped(case, tmp_path):
    """The file holds weights, optimizer and schedule; not how far dropout's seeds have come, which Keras leaves out."""
    model = case.make(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_hidden_layers=1)
    model.compile(adamw(1e-2, total_steps=20), metrics=["accuracy"])
    model.fit(toy(case), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for part in (model, loaded):
        part.fit(toy(case), verbose=0)
    assert all(np.array_equal(x, weights_of(loaded)[name]) for name, x in weights_of(model).items())


@every_trained_model
def test_two_fits_of_equal_seeds_end_in_equal_bits(case):
    ends = []
    for seed in (1, 1, 2):
        model = case.make(seed=1, num_hidden_layers=1)
        model._seed_generator.state.assign([seed, 0])
        model.compile(adamw(1e-2, total_steps=10))
        model.fit(toy(case), epochs=2, verbose=0)
        ends.append(weights_of(model))
    assert all(np.array_equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert any(differ(ends[0][name], ends[2][name]) > 1e-4 for name in ends[0])  # other dropout, other weights


@every_trained_model
def test_training_under_xla_is_training(case):
    ends = []
    for jit_compile in (False, True):
        model = case.make(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_hidden_layers=1)
        model.compile(adamw(1e-2, total_steps=10), jit_compile=jit_compile)
        model.fit(toy(case), verbose=0)
        ends.append(case.per_text(model(inputs())))
    assert differ(*ends) < 1e-4


@every_trained_model
@pytest.mark.parametrize("jit_compile", [False, True], ids=["plain", "xla"])
def test_dropout_trains_in_half_precision(case, jit_compile):
    model = case.make(dtype="mixed_bfloat16", num_hidden_layers=1)
    model.compile(adamw(1e-2), jit_compile=jit_compile)
    before = weights_of(model)
    history = model.fit(toy(case), epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    never = {"embeddings/position", "embeddings/segment", "embeddings/token"}  # rows that no batch has stay
    after = weights_of(model)
    assert all(differ(before[name], after[name]) > 1e-6 for name in before if name not in never)


MIRRORED = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import numpy as np
from model_cases import CASES, toy
from kbert.optimizer import adamw
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
for case in CASES.values():
    if case.toy_labels:
        with strategy.scope():
            model = case.make(num_hidden_layers=1)
            model.compile(adamw(1e-2, total_steps=10))
        history = model.fit(toy(case), epochs=2, verbose=0).history
        assert np.isfinite(history["loss"]).all(), history
        model.evaluate(toy(case), verbose=0)
        print("trained", history["loss"])
"""


def test_the_end_of_data_of_unknown_length_is_no_step():
    case = CASES["classifier"]
    model = case.make()
    model.compile(adamw(1e-2, total_steps=10))
    model.fit(toy(case).filter(lambda *_: True), verbose=0)
    assert int(model.optimizer.iterations) == len(list(toy(case)))


def test_fit_runs_on_two_mirrored_devices():
    """In a process of its own: devices are split before TensorFlow starts."""
    folders = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    run = subprocess.run(
        [sys.executable, "-c", MIRRORED],
        env={**os.environ, "PYTHONPATH": folders, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.count("trained") == sum(case.toy_labels is not None for case in CASES.values())
