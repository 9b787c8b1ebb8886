"""Conversion on a Dask cluster (the extra `[dask]`): the same function of one record, on any of its workers."""

import asyncio
import concurrent.futures

from physiokeras.errors import DataError

DIED = "its worker process died several times; there may be too little memory."


def engine(address, patience=60):
    """An engine for `physiokeras.pipelines.convert`.

    The function that converts a record writes the shard and the sidecar. Source and prepared folder must therefore have
    the same path on all workers, and physiokeras must be installed there. If a worker dies, Dask gives its record to
    another; a record whose workers die again and again is set aside. If the scheduler restarts, what it had not
    finished is submitted again.

    Args:
        address: Address of the scheduler, such as "tcp://host:8786".
        patience: Seconds for which a scheduler that does not answer is awaited.

    Returns: a function of `(function, arguments)` that yields `(number, result)` in the order of completion.

    Raises:
        DataError: distributed is not installed; or, when it runs, no scheduler answers.
    """
    try:
        from distributed import Client, KilledWorker, as_completed
    except ImportError as error:
        raise DataError(f"the option needs Dask: pip install 'physiokeras[dask]' ({error}).") from error

    def connect():
        try:
            return Client(address, timeout=patience)
        except OSError as error:
            message = f"no Dask scheduler answers within {patience} s ({error}). Start one with `dask scheduler`."
            raise DataError(message, place=address) from error

    def run(function, arguments):
        waiting = dict(enumerate(arguments))
        while waiting:
            with connect() as client:
                numbers = {client.submit(function, *values, pure=False): number for number, values in waiting.items()}
                for future in as_completed(numbers):
                    try:
                        result = future.result()
                    except KilledWorker:
                        result = DIED
                    except (concurrent.futures.CancelledError, asyncio.CancelledError):
                        break  # the scheduler restarted and knows nothing of what was submitted
                    del waiting[numbers[future]]
                    yield numbers[future], result

    return run
