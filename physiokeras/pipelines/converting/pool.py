"""Runs one function on many arguments in worker processes, and survives the death of a worker."""

import contextlib
import sys
import types
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context


def run(function, arguments, workers):
    """Yield `(number, result)` for each tuple of arguments, in the order of completion.

    If a worker dies (out of memory, a crash in a library), all calls that ran at that time are repeated one by one. A
    call whose worker dies again yields a message instead of a result.

    Args:
        function: A function at the top level of a module; an exception from it ends the run.
        arguments: list of tuples.
        workers: Number of processes; 1 runs in this process.
    """
    if workers <= 1 or len(arguments) <= 1:
        for number, values in enumerate(arguments):
            yield number, function(*values)
        return
    waiting = list(range(len(arguments)))[::-1]
    while waiting:
        suspects = []
        yield from _until_broken(function, arguments, workers, waiting, suspects)
        for number in suspects:
            yield number, _alone(function, arguments[number])


def _until_broken(function, arguments, workers, waiting, suspects):
    """Run the calls in `waiting`; if the pool breaks, add the running calls to `suspects`."""
    with processes(min(workers, len(waiting))) as executor:
        running = {}
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    future = submit(executor, function, *arguments[waiting[-1]])
                    running[future] = waiting.pop()
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    result = future.result()
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
    """An executor of worker processes; see `submit`."""
    # A forked process inherits the locks of TensorFlow's and JAX's threads and can deadlock.
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))


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
