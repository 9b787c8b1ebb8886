"""Runs one function on many arguments in worker processes, and survives the death of a worker."""

import contextlib
import os
import signal
import sys
import threading
import types
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import current_process, get_context, parent_process

AHEAD_FROM = 4
"""Number of calls from which a process that works ahead saves more than its start takes."""


def run(function, arguments, workers, ahead=False):
    """Yield `(number, result)` for each tuple of arguments, in the order of completion.

    If a worker dies (out of memory, a crash in a library), all calls that ran at that time are repeated one by one. A
    call whose worker dies again yields a message instead of a result.

    Args:
        function: A function at the top level of a module; an exception from it ends the run.
        arguments: list of tuples.
        workers: Number of processes; 1 runs in this process.
        ahead: Whether 1 worker is a process of its own too, which makes the next result while this process works with
            the last; for at least `AHEAD_FROM` calls, of which this process makes the first. No more than `workers`
            results are waiting or being made.
    """
    may_start = not current_process().daemon
    ahead = ahead and workers <= 1 and len(arguments) >= AHEAD_FROM and may_start
    if not ahead and (workers <= 1 or len(arguments) <= 1):
        for number, values in enumerate(arguments):
            yield number, function(*values)
        return
    waiting = list(range(len(arguments)))[::-1]
    workers, own = max(1, workers), [waiting.pop()] if ahead else []
    while waiting:
        suspects = []
        yield from _until_broken(function, arguments, workers, waiting, suspects, own)
        for number in suspects:
            yield number, _alone(function, arguments[number])


def _until_broken(function, arguments, workers, waiting, suspects, own):
    """Run the calls in `waiting`, and in this process those in `own`; if the pool breaks, add the running calls to
    `suspects`.
    """
    with processes(min(workers, len(waiting))) as executor:
        running = {}

        def refill(done=0):
            while waiting and len(running) < workers + done:
                future = submit(executor, function, *arguments[waiting[-1]])
                running[future] = waiting.pop()

        try:
            refill()
            while own:
                number = own.pop()
                yield number, function(*arguments[number])
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    refill(done=1)  # before the caller works with this result
                    yield running.pop(future), result
        except BrokenProcessPool:
            suspects += running.values()
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise


def _alone(function, values):
    try:
        with processes(1) as executor:
            return submit(executor, function, *values).result()
    except BrokenProcessPool:
        return "its worker process died twice, the second time while it ran alone; there may be too little memory."


def processes(workers):
    """An executor of worker processes, which end with this one however it ends; see `submit`."""
    # A forked process inherits the locks of TensorFlow's and JAX's threads and can deadlock.
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin_worker)


def _begin_worker():
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends workers at once and without a traceback of each
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent():
    parent_process().join()
    os._exit(1)


def submit(executor, function, *values):
    """Submit a call to an executor of `processes`; a worker that starts for it does not import the user's script.

    Otherwise a script without `if __name__ == "__main__":` would start the whole work again in each worker, and a
    script from standard input would end all of them.

    Args:
        executor: Of `processes`.
        function: A function at the top level of a module other than `__main__`.
        *values: Its arguments, of classes of such modules.

    Returns: `Future`.
    """
    with _without_script():
        return executor.submit(function, *values)


@contextlib.contextmanager
def _without_script():
    """Within, `__main__` is an empty module, so that `multiprocessing` tells a new process of no script."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script
