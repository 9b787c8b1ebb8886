"""The process of one job of `bench_gpu.py`: a model, a precision, several batch sizes.

It imports the framework, reads the job as JSON from standard input, and prints a line `ROW {...}` for each result. It
uses the GPU only after reading the job, so it can start while another process measures.
"""

import importlib
import importlib.util
import json
import statistics
import sys
import time
import traceback

import keras
import numpy as np

from physiokeras.layers import ModalityDropout
from physiokeras.models import Encoder, MaskedAutoencoder
from physiokeras.optimizers import AdamW

HELD = 4
"""Number of different batches in a measurement."""


def report(job, **row):
    """Print one result."""
    print("ROW " + json.dumps({**job["name"], **row}), flush=True)


def windows(job, batch, seed=0):
    """Batches of random windows as `stream` yields them: int16 signals, and which channels are present."""
    draw = np.random.default_rng(seed)
    shapes = {name: (m["samples"], m["channels"]) for name, m in job["modalities"].items()}
    return [
        {
            **{name: draw.integers(-4000, 4000, (batch, *shape), "int16") for name, shape in shapes.items()},
            "present": np.ones((batch, sum(channels for _, channels in shapes.values())), bool),
        }
        for _ in range(HELD)
    ]


def build(job, **options):
    """The compiled autoencoder of a job."""
    keras.config.set_dtype_policy(job["name"]["policy"])
    keras.utils.set_random_seed(0)
    encoder = Encoder(job["modalities"], job["time"], job["name"]["width"], job["depth"], job["heads"])
    model = MaskedAutoencoder(encoder, modality_dropout=ModalityDropout(name="dropout"), **options)
    by_compiler = True if job["name"]["engine"] == "torch-compile" else "auto"
    model.compile(AdamW(job["rate"], weight_decay=0.05, beta_2=0.95), jit_compile=by_compiler)
    return model


def endless(batches):
    """Endless generator of batches for `fit`."""
    while True:
        for batch in batches:
            yield (batch,)


class Ours:
    """The autoencoder, trained by `fit` on batches from the host or kept on the device."""

    def __init__(self, job):
        self.job, self.model = job, build(job)

    def feeds(self, batch):
        """Functions that train for a given number of steps: on batches on the device, and on the host."""
        host = windows(self.job, batch)
        device = [keras.tree.map_structure(keras.ops.convert_to_tensor, one) for one in host]
        return {"device": lambda n: self.fit(device, n), "host": lambda n: self.fit(host, n)}

    def fit(self, batches, steps):
        """Train so many steps, which ends when the last loss is known."""
        self.model.fit(endless(batches), steps_per_epoch=steps, shuffle=False, verbose=0)


class Reference:
    """The hand-written PyTorch reference, on float windows on the device."""

    def __init__(self, job):
        import torch

        spec = importlib.util.spec_from_file_location("reference", job["reference"])
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.TIMES, module.HEADS = job["time"], job["heads"]
        module.PATCH = min(m["samples"] for m in job["modalities"].values()) // job["time"]
        # The reference has one rate for all channels: a channel at twice the rate becomes two channels.
        module.CHANNELS = [
            m["channels"] * m["samples"] // job["time"] // module.PATCH for m in job["modalities"].values()
        ]
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.half = job["name"]["policy"] != "float32"
        self.module, model = module, module.MaskedAutoencoder(job["name"]["width"], job["depth"]).to(self.device)
        fused = self.device == "cuda"
        self.optimizer = torch.optim.AdamW(model.parameters(), job["rate"], weight_decay=0.05, fused=fused)
        self.model = torch.compile(model, dynamic=False) if job["name"]["engine"].endswith("compile") else model

    def feeds(self, batch):
        """As `Ours.feeds`, without the host."""
        import torch

        samples, channels = self.module.TIMES * self.module.PATCH, self.module.CHANNELS
        signals = [torch.randn(batch, samples, count, device=self.device) for count in channels]
        return {"device": lambda n: self.train(signals, n)}

    def train(self, signals, steps):
        """Train so many steps, which ends when the last loss is known."""
        import torch

        for _ in range(steps):
            self.optimizer.zero_grad(set_to_none=True)
            with torch.autocast(self.device, torch.bfloat16, enabled=self.half):
                loss = self.model(signals)
            loss.backward()
            self.optimizer.step()
        loss.item()


def seconds(function, *arguments):
    """Wall time of a call."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def step_seconds(train, budget):
    """Median time of a step and its spread over three measurements of about `budget` seconds each.

    The time is the slope between a short and a long training, which excludes the fixed cost of a call of `fit`.
    """
    train(2)
    long = seconds(train, 8)
    rough = max((long - seconds(train, 2)) / 6, long / 64)  # at most 8 times too short, even under disturbances
    few = max(1, round(budget / 4 / rough))
    slopes = [(seconds(train, 3 * few) - seconds(train, few)) / (2 * few) for _ in range(3)]
    return statistics.median(slopes), max(slopes) - min(slopes)


def synchronise(array):
    """Wait until an array of the backend is computed."""
    if keras.config.backend() == "jax":
        array.block_until_ready()
    elif array.is_cuda:
        import torch

        torch.cuda.synchronize()


def peak_gigabytes():
    """Peak memory of arrays on the device so far (PyTorch: since the last call); None on a CPU."""
    if keras.config.backend() == "jax":
        import jax

        counts = jax.local_devices()[0].memory_stats()
        return counts and counts["peak_bytes_in_use"] / 1e9
    import torch

    if not torch.cuda.is_available():
        return None
    most = torch.cuda.max_memory_allocated() / 1e9
    torch.cuda.reset_peak_memory_stats()
    return most


def ceilings(job):
    """Operations per second of a large product of random matrices, and bytes per second of a copy to the device."""
    size, repeats = (512, 2) if job["tiny"] else (8192, 20)
    dtype = "float32" if job["name"]["policy"] == "float32" else "bfloat16"
    a, b = (keras.random.normal((size, size), dtype=dtype, seed=seed) for seed in (1, 2))
    product = keras.ops.matmul
    if keras.config.backend() == "jax":
        import jax

        product = jax.jit(product)

    def run(count):
        for _ in range(count):
            made = product(a, b)
        synchronise(made)

    def copy():
        for name in job["modalities"]:
            synchronise(keras.ops.convert_to_tensor(batch[name]))

    run(3)
    batch = windows(job, max(job["batches"]))[0]
    copy()
    size_of_batch = sum(batch[name].nbytes for name in job["modalities"])
    return {
        "matmul": 2 * size**3 * repeats / seconds(run, repeats),
        "copy": size_of_batch / statistics.median(seconds(copy) for _ in range(5)),
    }


def measure(job):
    """Print a row for each batch size, smallest first, so that the memory peak belongs to the last one."""
    started = time.perf_counter()
    model = (Reference if job["name"]["engine"].startswith("reference") else Ours)(job)
    built = time.perf_counter() - started
    for batch in sorted(job["batches"]):
        try:
            feeds = model.feeds(batch)
            first = seconds(feeds["device"], 1)
            found = {feed: step_seconds(train, job["seconds"]) for feed, train in feeds.items()}
        except Exception as error:
            failed(job, error, batch=batch)
            continue
        step, spread = found["device"]
        row = {"step": step, "spread": spread, "host_step": found.get("host", (None,))[0], "first": first - step}
        report(job, batch=batch, built=built, memory=peak_gigabytes(), **row)
    if job["limits"]:
        report(job, kind="limits", **ceilings(job))


def failed(job, error, **where):
    """Print an error in place of a result."""
    traceback.print_exc()
    report(job, **where, error=f"{type(error).__name__}: {str(error).strip()[:300]}")


def main():
    """Run the job on standard input."""
    if keras.config.backend() == "torch":
        import torch

        torch.set_float32_matmul_precision("high")  # TF32, the default of JAX for float32
    job = json.loads(sys.stdin.readline() or "null")
    if job is None:
        return
    kind = job["name"]["kind"]
    run = measure if kind == "step" else importlib.import_module(f"gpu_{kind}").run
    try:
        run(job)
    except Exception as error:
        failed(job, error)


if __name__ == "__main__":
    main()
