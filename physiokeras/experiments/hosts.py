"""Training on several hosts with JAX: which hosts take part, how they connect and disconnect.

The first host writes the run folder, the others train with it and write nothing.
"""

import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import sys
import time
import traceback
from dataclasses import dataclass

from physiokeras.errors import TrainingError
from physiokeras.experiments import exit_status, launchers, run_folder
from physiokeras.experiments.settings import of_role

PATIENCE_S = 30
"""Seconds that a host waits for the coordinator."""

FIRST_WAITS_S = 60
"""Seconds that the first host waits for the others."""

SILENCE_S = 30
"""Seconds without a sign of life after which JAX counts a host as lost."""


@dataclass(frozen=True)
class Place:
    """A host's place among the hosts of a training.

    Attributes:
        index: Its number, from 0.
        count: Number of hosts.
        coordinator: "HOST:PORT" at which the first host waits for the others; None for one host.
    """

    index: int = 0
    count: int = 1
    coordinator: str | None = None

    def __str__(self):
        return f"host {self.index} of {self.count}"


def place(settings):
    """This host's place, from `HostSettings` and, for what they leave open, from the launcher's environment.

    Args:
        settings: With `hosts`, `host_index` and `coordinator`.

    Returns: `Place`.

    Raises:
        SystemExit: Something is missing, or contradicts the launcher; one sentence says what to do.
    """
    index, coordinator = settings.host_index, settings.coordinator
    if not 0 <= (index or 0) < settings.hosts:
        raise SystemExit(f"--host-index must lie in [0, hosts). Received: {index}, with {settings.hosts} hosts.")
    if settings.hosts == 1:
        return Place()
    found = launchers.launched()
    if found and index is None:
        if found.count != settings.hosts:
            raise SystemExit(f"--hosts {settings.hosts}, but {found.launcher} started {found.count} processes.")
        index = found.index
    coordinator = coordinator or (found and found.coordinator)
    if index is None or not coordinator:
        raise SystemExit(
            f"--hosts {settings.hosts} needs --host-index (0 to {settings.hosts - 1}) and --coordinator HOST:PORT, an "
            "address of host 0, or a launcher that sets them in the environment: "
            f"{', '.join(launchers.LAUNCHERS)}."
        )
    if not re.fullmatch(r"\S+:\d+", coordinator):
        raise SystemExit(f"--coordinator must be HOST:PORT, such as node1:1234. Received: {coordinator}.")
    return Place(index, settings.hosts, coordinator)


@contextlib.contextmanager
def joined(here, settings, data_hash, folder=None):
    """A context in which the hosts train together; with one host it does nothing.

    At its beginning they connect, and are refused if their settings, data, code or versions differ. Where one host
    fails, its process ends at once, so that the others notice; where another is lost, it ends with a message.

    Args:
        here: `Place`.
        settings: The command's settings.
        data_hash: The prepared data's hash.
        folder: The run's folder, for the sentence; None on hosts that have none.

    Raises:
        SystemExit: A host did not connect, or differs.
    """
    if here.count == 1:
        yield
        return
    _connect(here, folder)
    try:
        _compare(here, settings, data_hash)
        yield
    except (TrainingError, KeyboardInterrupt, SystemExit):  # all hosts end like this, at the same step
        _leave_together()
        raise
    except BaseException as error:
        # An ordinary end would wait for the other hosts, which wait for this one.
        _end(_of_lost_host(error, here, folder) or _of_failure(error))
    _leave_together()


def _connect(here, folder):
    import jax

    name, _, port = here.coordinator.rpartition(":")
    if here.index:
        _wait_for(name, int(port), here)
    stage = [f"not all hosts came within {FIRST_WAITS_S} s to {here.coordinator}: see what the others print"]
    _at_abort(lambda: _end(_lost(here, folder, stage[0])))
    # It would take SIGTERM away from `Checkpoints`, which saves first.
    jax.config.update("jax_enable_preemption_service", False)
    # On CPUs programs would overlap, and Gloo pair one host's collective with another one of the other host.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    jax.distributed.initialize(
        here.coordinator,
        here.count,
        here.index,
        cluster_detection_method="deactivate",
        initialization_timeout=FIRST_WAITS_S,
        heartbeat_timeout_seconds=SILENCE_S,
    )
    stage[0] = "another host is lost"


def _wait_for(name, port, here):
    """Wait until the coordinator listens, because JAX would end the process without a sentence."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection((name, port), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() + 1 > until:
                raise SystemExit(
                    f"{here.coordinator}: no coordinator answers within {PATIENCE_S} s ({error}). Start --host-index 0 "
                    "there with the same --hosts and --coordinator, and see that the port is open."
                ) from None
            time.sleep(1)


def _compare(here, settings, data_hash):
    """Refuse hosts that would not train the same model on the same data, on all hosts alike."""
    import keras

    from physiokeras.callbacks import hosts

    free = of_role(settings, *run_folder.FREE)
    mine = {name: value for name, value in run_folder.made_now(settings, data_hash).items() if name not in free}
    with keras.distribution.DataParallel(auto_shard_dataset=False).scope():
        first, *others = map(json.loads, hosts.texts(json.dumps(mine)))
    differ = [
        f"{name}: {first.get(name)!r} on host 0, {values.get(name)!r} on host {number}"
        for number, values in enumerate(others, 1)
        for name in {**first, **values}
        if first.get(name) != values.get(name)
    ]
    if differ:
        raise SystemExit("The hosts do not agree and cannot train together:\n  " + "\n  ".join(differ))


def _leave_together():
    """Wait for the other hosts to come here too, and leave them."""
    import jax

    jax.distributed.shutdown()
    signal.signal(signal.SIGABRT, signal.SIG_DFL)


def _of_lost_host(error, here, folder):
    """Message for an error which says that another host is gone; None for other errors."""
    import jax

    while error is not None:
        text = str(error)
        if isinstance(error, jax.errors.JaxRuntimeError) or "Gloo" in text or "NCCL" in text:
            first = (text.splitlines() or [""])[0]
            return _lost(here, folder, f"another host is lost, or a step failed ({first[:200]})")
        error = error.__cause__ or error.__context__
    return None


def _lost(here, folder, why):
    advice = "Start all hosts again" + (f" with --resume {folder}." if folder else " as the first host says.")
    return f"{str(here).capitalize()} stops: {why}. {advice}"


def _of_failure(error):
    return str(error) if isinstance(error, exit_status.EXPLAINED) else "".join(traceback.format_exception(error))


def _end(text):
    """Print a text and end the process with status 1, without anything that waits."""
    sys.stdout.flush()
    os.write(2, f"\n{text}\n".encode())
    os._exit(1)


def _at_abort(function):
    """Call a function where C++ aborts the process, as JAX does where the coordinator or another host is lost."""
    # JAX has no other place for a sentence: `initialize` takes no callback for lost hosts (that of jaxlib is private),
    # `jax_enable_recoverability` spares a host only while the coordinator lives, and a thread that watches would race
    # with JAX, which aborts as soon as it knows.
    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda number: function())
    _at_abort.kept = handler  # C holds no reference
    libc = ctypes.CDLL(None)
    libc.signal.restype = ctypes.c_void_p
    libc.signal(signal.SIGABRT, handler)
