"""Which devices and machines train: a strategy of tf.distribute by one word."""

import json
import os

import tensorflow as tf
from tensorflow.compiler.xla.tsl.protobuf.coordination_config_pb2 import CoordinatedJob
from tensorflow.python.distribute.cluster_resolver.slurm_cluster_resolver import expand_hostlist, expand_tasks_per_node
from tensorflow.python.eager import context

from kbert.replicas import mend_keras

NAMES = ("auto", "one", "mirrored", "multiworker", "tpu")
SLURM_PORT = 8888  # of the first task of a node, as TensorFlow's resolver has it
RENDEZVOUS = 600  # seconds until all workers have come; machines of a cluster may still be fetching their image


def strategy(
    name: str = "auto", *, tpu: str | None = None, rendezvous_timeout: int = RENDEZVOUS
) -> tf.distribute.Strategy:
    """A strategy, under whose `scope()` models are made, compiled and fitted; ours or any of Keras.

    Args:
        name: "one" device; "mirrored", all GPUs of this machine, or where there is none all logical CPUs;
            "multiworker", the machines that TF_CONFIG names, or else those of the Slurm job; "tpu". "auto" is
            "multiworker" where TF_CONFIG or Slurm speak of several machines, "mirrored" where there are several GPUs,
            else "one".
        tpu: the TPU's name or address; by default that of the machine.
        rendezvous_timeout: seconds in which all workers must come.

    Several workers are made first thing in a program: TensorFlow allows no operation before, and each waits for all.

    Raises:
        ValueError: no such name, no cluster for "multiworker", or a timeout that is not positive.
        tf.errors.DeadlineExceededError: not all workers came.

    >>> strategy("one").num_replicas_in_sync
    1
    """
    if name not in NAMES:
        raise ValueError(f"A strategy is one of {', '.join(NAMES)}; got {name!r}.")
    if rendezvous_timeout < 1:
        raise ValueError(f"rendezvous_timeout is a number of seconds, 1 or more; got {rendezvous_timeout}.")
    if name == "auto":
        name = "multiworker" if workers() > 1 else "mirrored" if len(_devices("GPU")) > 1 else "one"
    mend_keras()
    if name == "one":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        return tf.distribute.MirroredStrategy([device.name for device in _devices("GPU") or _devices("CPU")])
    if name == "multiworker":
        cluster = _cluster()
        _wait_at_most(rendezvous_timeout, cluster)
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=cluster)
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect(tpu or "")
    return tf.distribute.TPUStrategy(resolver)


def told(chosen: tf.distribute.Strategy, batch_size: int) -> str:
    """What was chosen, in a line.

    >>> told(strategy("one"), 32)
    'one device, batches of 32'
    """
    replicas, machines = chosen.num_replicas_in_sync, workers_of(chosen)
    if replicas == 1:
        return f"one device, batches of {batch_size}"
    by = f"{machines} workers, " if machines > 1 else ""
    least, most = batch_size // replicas, -(-batch_size // replicas)
    each = f"{least}" if least == most else f"{least} or {most}"
    return f"{by}{replicas} replicas, batches of {batch_size}: {each} on each"


def workers() -> int:
    """How many workers TF_CONFIG speaks of, or Slurm; 1 where neither does.

    Raises:
        ValueError: TF_CONFIG is no JSON object.
    """
    config = _tf_config()
    if config:
        return sum(len(config.get("cluster", {}).get(kind, ())) for kind in ("chief", "worker")) or 1
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", 1))


def workers_of(chosen: tf.distribute.Strategy) -> int:
    """Workers of a strategy."""
    resolver = chosen.cluster_resolver
    spec = resolver.cluster_spec().as_dict() if resolver else {}
    return sum(len(spec.get(kind, ())) for kind in ("chief", "worker")) or 1


def is_chief() -> bool:
    """Whether this process writes what all workers made: the chief, or the first worker where there is none."""
    task, cluster = _tf_config().get("task", {}), _tf_config().get("cluster", {})
    if not task:
        return int(os.environ.get("SLURM_PROCID", 0)) == 0
    return task.get("type") == "chief" or (
        task.get("type") == "worker" and task.get("index") == 0 and not cluster.get("chief")
    )


def _tf_config() -> dict:
    told = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(told or "{}")
    except ValueError as error:
        raise ValueError(f"TF_CONFIG is a JSON object with cluster and task; got {told!r}: {error}.") from None
    if not isinstance(config, dict):
        raise ValueError(f"TF_CONFIG is a JSON object with cluster and task; got {told!r}.")
    return config


def _cluster():
    """The resolver of the workers' addresses.

    Raises:
        ValueError: nothing names them.
    """
    if not _tf_config():
        if workers() == 1:
            raise ValueError(
                "Several workers are those that TF_CONFIG names, or a Slurm step of several tasks; got neither. "
                "Set TF_CONFIG on each, or use --strategy auto."
            )
        os.environ["TF_CONFIG"] = json.dumps(slurm_config())
    return tf.distribute.cluster_resolver.TFConfigClusterResolver()


def slurm_config() -> dict:
    """The tasks of this Slurm step as TF_CONFIG has them: nodes in Slurm's order, a port for each task of a node.

    TensorFlow's own resolver sorts nodes as words, while Slurm numbers tasks in its order of nodes; and it counts GPUs
    by a program that nodes without any lack.
    """
    nodes = expand_hostlist(os.environ["SLURM_STEP_NODELIST"])
    tasks = expand_tasks_per_node(os.environ["SLURM_STEP_TASKS_PER_NODE"])
    addresses = [
        f"{node}:{SLURM_PORT + task}" for node, count in zip(nodes, tasks, strict=True) for task in range(count)
    ]
    index = int(os.environ["SLURM_PROCID"])
    return {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}


def _wait_at_most(seconds: int, cluster) -> None:
    """How long workers wait for each other at the start."""
    kinds = {
        kind: count for kind in ("chief", "worker") if (count := len(cluster.cluster_spec().as_dict().get(kind, ())))
    }
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader=f"/job:{next(iter(kinds))}/replica:0/task:0",
        cluster_register_timeout_in_ms=1000 * seconds,
        coordinated_jobs=[CoordinatedJob(name=kind, num_tasks=count) for kind, count in kinds.items()],
    )
    # Without it registering does not wait, and what comes after it waits an hour.
    context.context()._coordination_service_config.cluster_register_with_barrier = True


def _devices(kind: str) -> list:
    return tf.config.list_logical_devices(kind)
