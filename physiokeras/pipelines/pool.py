"""Runs one function on many arguments in worker processes, and survives the death of a worker."""

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
    with _pool(min(workers, len(waiting))) as executor:
        running = {}
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    future = executor.submit(function, *arguments[waiting[-1]])
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
        with _pool(1) as executor:
            return executor.submit(function, *values).result()
    except BrokenProcessPool:
        return "its worker process died twice, the second time while it ran alone; there may be too little memory."


def _pool(workers):
    # A forked process inherits the locks of TensorFlow's and JAX's threads and can deadlock.
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
