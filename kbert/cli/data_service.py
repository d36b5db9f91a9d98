"""`kbert data-service`: machines that read and parse records for trainings on other machines, by tf.data service."""

import contextlib
import os
import socket
import sys
import threading
import time
from typing import Annotated

import typer

from kbert.cli.output import Json, show

Option = typer.Option
MEETING_SECONDS = 20  # in which a worker must be known to its dispatcher
ENDING_SECONDS = 5  # in which servers must stop


def data_service(
    port: Annotated[
        int | None, Option(min=0, max=65535, help="Start a dispatcher that listens there; 0 is for a free port.")
    ] = None,
    join: Annotated[
        str | None,
        Option(metavar="grpc://HOST:PORT", help="In place of --port: workers for a dispatcher that runs elsewhere."),
    ] = None,
    workers: Annotated[int, Option(min=0, help="Workers in this process; each uses all cores.")] = 1,
    host: Annotated[
        str | None, Option(metavar="NAME", help="By which other machines reach this one; else its host name.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make the batches of `kbert pretrain --records` on other machines, until Ctrl-C or SIGTERM.

    A dispatcher hands out numbers of parts of the records to its workers, which may come and go: each part once an
    epoch, and the training puts them in one order, however many workers there are. Where the dispatcher or a worker in
    the middle of a part is lost, the training ends with code 138, and the same command goes on exactly. Who reaches the
    ports can have any graph run here: keep them within your network.

    \b
    Example:
      kbert data-service --port 5050
      kbert data-service --join grpc://reader-0:5050 --workers 1
      kbert pretrain --records records --data-service grpc://reader-0:5050 ...
    """
    from kbert.cli.errors import WrongUse

    if (port is None) == (join is None):
        raise WrongUse("--port starts a dispatcher, --join brings workers to one: one of the two is needed.")
    if join and not workers:
        raise WrongUse("--join is for workers; give --workers 1 or more.")

    from kbert.cli.quiet import quiet
    from kbert.cli.shard_options import lost_service_ends
    from kbert.cli.stopping import StopSignals

    host = host or own_name()
    servers = contextlib.ExitStack()
    with StopSignals() as signals:
        with quiet():
            from pipelines.data_service import Service

            address = join or start_dispatcher(servers, port, host)
            service = Service(address)
            with lost_service_ends(service):
                service.check()
            for _ in range(workers):
                start_worker(servers, address, host)
        what = f"{'joined by' if join else 'a dispatcher and'} {workers} worker{'s' * (workers != 1)}"
        show({"address": address, "workers": workers}, [f"{address}: {what}; Ctrl-C ends it"], as_json)
        while not signals.asked():
            time.sleep(0.2)
    end(servers)


def end(servers: contextlib.ExitStack) -> None:
    """Stops the servers, and with them the process where one still waits for another that went before it."""
    stopping = threading.Thread(target=servers.close, daemon=True)
    stopping.start()
    stopping.join(ENDING_SECONDS)
    if stopping.is_alive():  # native code, which would also hold up the end of Python; a service has nothing to save
        sys.stdout.flush()
        os._exit(0)


def own_name() -> str:
    """The host name of this machine, or localhost where the name leads nowhere."""
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        return "localhost"
    return name


def start_dispatcher(servers: contextlib.ExitStack, port: int, host: str) -> str:
    """Starts a dispatcher that ends with `servers`, and returns its address.

    Raises:
        OSError: the port is in use.
    """
    import tensorflow as tf

    with socket.socket() as free:  # TensorFlow would say it on many lines
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            free.bind(("", port))
        except OSError as error:
            raise OSError(f"--port is one that nobody listens at; got {port}: {error.strerror}.") from error
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer(service.DispatcherConfig(port=port, protocol="grpc"))
    servers.callback(dispatcher.stop)
    return f"grpc://{host}:{dispatcher.target.rpartition(':')[2]}"


def start_worker(servers: contextlib.ExitStack, address: str, host: str) -> None:
    """Starts a worker of the dispatcher at an address; it ends with `servers`."""
    import tensorflow as tf

    service = tf.data.experimental.service
    config = service.WorkerConfig(
        dispatcher_address=address.partition("://")[2],
        worker_address=f"{host}:%port%",
        protocol="grpc",
        dispatcher_timeout_ms=1000 * MEETING_SECONDS,
        data_transfer_address=f"{host}:%dts_port%",
    )
    servers.callback(service.WorkerServer(config).stop)
