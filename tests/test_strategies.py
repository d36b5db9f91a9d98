"""Which devices train: what the environment says, what is asked, and what is refused."""

import json

import pytest
import tensorflow as tf

import kbert
from kbert.strategies import is_chief, slurm_config, told, workers
from kbert.workers import agree, any_of, own_run


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in ("TF_CONFIG", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)


def set_workers(monkeypatch, count: int, index: int = 0, chief: bool = False) -> None:
    cluster = {"worker": [f"localhost:{1000 + i}" for i in range(count)]}
    if chief:
        cluster["chief"] = ["localhost:999"]
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}))


def test_one_device_is_what_keras_does_anyway():
    assert kbert.strategy("one") is tf.distribute.get_strategy()
    assert kbert.strategy().num_replicas_in_sync == 1


def test_an_unknown_name_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match="auto, one, mirrored, multiworker, tpu; got 'many'"):
        kbert.strategy("many")


def test_several_workers_need_a_word_about_where_they_are():
    with pytest.raises(ValueError, match="TF_CONFIG"):
        kbert.strategy("multiworker")


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_config_that_is_no_object_is_shown(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="TF_CONFIG is a JSON object"):
        kbert.strategy("auto")


def test_workers_are_counted_by_tf_config_then_by_slurm(monkeypatch):
    assert workers() == 1
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    assert workers() == 4
    set_workers(monkeypatch, 2)
    assert workers() == 2
    set_workers(monkeypatch, 2, chief=True)
    assert workers() == 3


def test_tasks_of_slurm_are_numbered_as_slurm_numbers_them(monkeypatch):
    monkeypatch.setenv("SLURM_STEP_NODELIST", "node[9-10],b")
    monkeypatch.setenv("SLURM_STEP_TASKS_PER_NODE", "2,1(x2)")
    monkeypatch.setenv("SLURM_PROCID", "2")
    config = slurm_config()
    assert config["cluster"] == {"worker": ["node9:8888", "node9:8889", "node10:8888", "b:8888"]}
    assert config["task"] == {"type": "worker", "index": 2}


def test_one_worker_writes(monkeypatch):
    assert is_chief()
    set_workers(monkeypatch, 2, index=0)
    assert is_chief()
    set_workers(monkeypatch, 2, index=1)
    assert not is_chief()
    set_workers(monkeypatch, 2, index=0, chief=True)
    assert not is_chief()
    monkeypatch.delenv("TF_CONFIG")
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert not is_chief()


def test_a_worker_that_does_not_write_has_a_copy_that_goes(monkeypatch, tmp_path):
    from kbert.runs import Run

    run = Run(tmp_path / "run")
    run.begin({"task": "pretrain"})
    run.checkpoints.mkdir()
    (run.checkpoints / "step-00000003.safetensors").write_bytes(b"3")
    with own_run(run) as own:
        assert own is run
    set_workers(monkeypatch, 2, index=1)
    with own_run(run) as own:
        assert own.task == {"task": "pretrain"}
        assert (own.checkpoints / "step-00000003.safetensors").read_bytes() == b"3"
        own.add_metrics({"step": 4})
    assert not own.folder.exists() and run.metrics() == []


def test_one_worker_agrees_with_itself():
    agree(tf.distribute.get_strategy(), {"settings": {}})
    assert any_of(tf.distribute.get_strategy())([True, False]) == [True, False]


def test_what_was_chosen_is_told_with_the_share_of_each():
    class Two:
        num_replicas_in_sync, cluster_resolver = 2, None

    assert told(Two, 33) == "2 replicas, batches of 33: 16 or 17 on each"
    assert told(Two, 32) == "2 replicas, batches of 32: 16 on each"
