"""A tf.data service, asked over the network: its elements as they come, and a clear end where it is away.

TensorFlow's own client tries again for an hour, within native code that nothing can end. So it runs in a thread, and
whoever reads waits in Python, looks now and then whether the dispatcher still answers, and gives up.

Source: Audibert et al. 2022, "tf.data service: A Case for Disaggregating ML Input Data Processing".
"""

import queue
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from pipelines.pretraining import UnreadableText

LOOK_SECONDS = 5  # without an element, after which the dispatcher is looked for
PATIENCE_SECONDS = 120  # without an element, after which the workers are taken to be lost
AHEAD = 32  # elements that may wait for one before them; about as many workers can be at work
REQUESTS = 8  # elements that are asked for at a time
END = object()
AWAY = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)


class ServiceLost(ConnectionError):
    """A tf.data service does not answer, or not any more; says which, and how to go on."""


class Service:
    """A dispatcher by its address.

    Args:
        address: "grpc://HOST:PORT".

    Attributes:
        lost: whether it was found to be away.

    Raises:
        ValueError: an address of another form.

    >>> Service("127.0.0.1:5050")
    Traceback (most recent call last):
    ValueError: a tf.data service has an address grpc://HOST:PORT; got '127.0.0.1:5050'.
    """

    def __init__(self, address: str):
        protocol, _, place = address.partition("://")
        host, _, port = place.rpartition(":")
        if protocol != "grpc" or not host or not port.isdecimal():
            raise ValueError(f"a tf.data service has an address grpc://HOST:PORT; got {address!r}.")
        self.address, self.lost = address, False
        self._host, self._port = host.strip("[]"), int(port)

    def check(self) -> None:
        """Raises ServiceLost where nothing listens at the address."""
        try:
            socket.create_connection((self._host, self._port), timeout=LOOK_SECONDS).close()
        except OSError as error:
            raise self._away(f"does not answer ({error.strerror or error})") from error

    def in_order(self, dataset: tf.data.Dataset, numbers: range) -> Iterator[Any]:
        """The elements that a service makes of numbers, in the order of the numbers.

        Each number goes to one worker of the service, as soon as it asks for one; what comes too early waits here.

        Args:
            dataset: (number int64, element), one of each of `numbers`, in any order; without Python in its graph.
            numbers: ascending by 1.

        Raises:
            ServiceLost: the dispatcher is away, or a worker with a number that it had been given.
            UnreadableText: what the workers could not do, in a line.
        """
        waiting, coming = {}, self.elements(dataset)
        for number in numbers:
            while number not in waiting:
                found, element = next(coming, (None, None))
                if found is None or len(waiting) >= AHEAD:
                    raise self._away(f"lost a worker, and with it part {number} of the data")
                waiting[int(found)] = element
            yield waiting.pop(number)

    def elements(self, dataset: tf.data.Dataset) -> Iterator[Any]:
        """The elements of a dataset, each once, as NumPy, from all workers of the service as they have them.

        Raises:
            ServiceLost, UnreadableText: as `in_order`.
        """
        self.check()
        found, ended = queue.Queue(maxsize=2), threading.Event()
        # A daemon: it may hang in native code, where the service is lost, and must not hold up the end of the process.
        threading.Thread(target=self._fill, args=(dataset, found, ended), daemon=True).start()
        try:
            while (element := self._wait_for(found)) is not END:
                if isinstance(element, Exception):
                    raise element
                yield element
        finally:
            ended.set()

    def _fill(self, dataset: tf.data.Dataset, found: queue.Queue, ended: threading.Event) -> None:
        """Puts all elements into a queue, then END; or what went wrong, for whoever reads."""
        for element in self._remote(dataset):
            while not ended.is_set():
                try:
                    found.put(element, timeout=1)
                    break
                except queue.Full:
                    continue
            if ended.is_set():
                return

    def _remote(self, dataset: tf.data.Dataset) -> Iterator[Any]:
        service = tf.data.experimental.service
        try:
            distribute = service.distribute(
                service.ShardingPolicy.DYNAMIC, self.address, max_outstanding_requests=REQUESTS
            )
            yield from dataset.apply(distribute).as_numpy_iterator()
            yield END
        except Exception as error:  # raised where it is read, in another thread
            yield self._told(error) if isinstance(error, tf.errors.OpError) else error

    def _wait_for(self, found: queue.Queue) -> Any:
        begun = time.monotonic()
        while True:
            try:
                return found.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                self.check()
            if time.monotonic() - begun > PATIENCE_SECONDS:
                raise self._away(f"has given nothing for {PATIENCE_SECONDS} s: its workers are away, or far too slow")

    def _told(self, error: tf.errors.OpError) -> Exception:
        """What TensorFlow's client says, as ours."""
        cause = str(error.message).split("\n")[0].rpartition("}} ")[2].rpartition("Failed to get element: ")[2]
        gone = isinstance(error, tf.errors.NotFoundError) and "No such file" not in cause  # a new one knows no old jobs
        if isinstance(error, AWAY) or gone:
            return self._away(f"ended the reading ({cause})")
        return UnreadableText(f"a worker of {self.address} could not make a batch: {cause}")

    def _away(self, told: str) -> ServiceLost:
        self.lost = True
        return ServiceLost(
            f"the tf.data service {self.address} {told}; start it with kbert data-service, and this again"
        )
