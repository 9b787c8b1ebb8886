"""Profile of a training step for `bench_gpu.py`: parts, kinds of attention, kernels, waits for the device."""

import collections
import tempfile
import warnings
from pathlib import Path

import keras
from gpu_steps import Ours, Reference, failed, report, step_seconds, synchronise, windows
from keras import ops

import physiokeras.layers.block as block

KERNELS = 30
STEPS = 5
REGIONS = ("##", "Torch-Compiled")
"""Prefixes of profiler entries of PyTorch's compiled programs, each of which contains several kernels."""


def run(job):
    """Print the kernels of a step; for the package's models also its parts and, on PyTorch, its waits."""
    ours = not job["name"]["engine"].startswith("reference")
    model, batch = (Ours if ours else Reference)(job), job["batches"][0]
    train = model.feeds(batch)["device"]
    train(3)
    if ours and keras.config.backend() == "torch":
        report(job, batch=batch, waits=waits(train))
    traced = trace_jax if keras.config.backend() == "jax" else trace_torch
    attempts = {"kernels": lambda: report(job, batch=batch, kernels=traced(train))}
    if ours:
        inputs = keras.tree.map_structure(ops.convert_to_tensor, windows(job, batch)[0])
        parts = parts_jax if keras.config.backend() == "jax" else parts_torch
        original = block.attend
        usual = (
            "products" if keras.config.backend() == "jax" else "dot_product_attention"
        )  # with a mask, as in the package
        others = {name: attend for name, attend in kinds().items() if name != f"{usual}, masked"}
        for name, attend in {"as it is": original, **others}.items():
            attempts[name] = lambda name=name, attend=attend: compare(job, name, attend, parts, model.model, inputs)
    for name, attempt in attempts.items():
        try:
            attempt()
        except Exception as error:
            failed(job, error, batch=batch, attention=name)
        finally:
            if ours:
                block.attend = original


def compare(job, name, attend, parts, model, inputs):
    """Print the times of the forward pass and of forward and backward pass with one kind of attention."""
    block.attend = attend
    for part, run_part, facts in parts(model, inputs, *(() if name == "as it is" else ("forward and backward",))):
        step, _ = step_seconds(run_part, job["seconds"] / 2)
        report(job, batch=job["batches"][0], attention=name, part=part, step=step, **facts)


def kinds():
    """Attention functions that can replace `attend`: matrix products or fused, with or without mask."""
    return {
        f"{way}, {mask}": lambda q, k, v, heads, valid=None, return_weights=False, way=way, mask=mask: mixed(
            q, k, v, heads, None if mask == "no mask" else valid, way
        )
        for way in ("products", "dot_product_attention")
        for mask in ("masked", "no mask")
    }


def mixed(query, key, value, heads, valid, way):
    """Attention `(batch, queries, width)` as `physiokeras.layers.attend` defines it."""
    if valid is not None:
        valid = valid[:, None, None] if len(valid.shape) == 2 else valid[:, None]
    query, key, value = (ops.reshape(x, (-1, x.shape[1], heads, x.shape[2] // heads)) for x in (query, key, value))
    if way == "dot_product_attention":
        if valid is not None:
            valid = ops.broadcast_to(valid, (query.shape[0], 1, query.shape[1], key.shape[1]))
        out = ops.dot_product_attention(query, key, value, mask=valid)
    else:
        scores = ops.einsum("bqhd,bkhd->bhqk", query * query.shape[-1] ** -0.5, key)
        scores = ops.cast(scores, "float32")
        weights = ops.softmax(scores if valid is None else ops.where(valid, scores, -1e9), axis=-1)
        out = ops.einsum("bhqk,bkhd->bqhd", ops.cast(weights, value.dtype), value)
    return ops.reshape(out, (-1, out.shape[1], heads * out.shape[3]))


def parts_jax(model, inputs, only=None):
    """Triples of a part's name, a function that repeats it a given number of times, and facts of its compiled program.

    If a part is named, only this part is compiled, because compilation takes long.
    """
    import jax

    state = [[v.value for v in kept] for kept in (model.non_trainable_variables, model.metrics_variables)]
    moments = [v.value for v in model.optimizer.variables]
    weights = [v.value for v in model.trainable_variables]

    def loss(weights, inputs):
        made = model.compute_loss_and_updates(
            weights, *state, inputs, None, None, training=True, optimizer_variables=moments
        )
        return made[0]

    functions = {"forward": loss, "forward and backward": jax.value_and_grad(loss)}
    for part, function in functions.items() if only is None else [(only, functions[only])]:
        compiled = jax.jit(function).lower(weights, inputs).compile()
        cost = compiled.cost_analysis() or {}

        def repeat(count, compiled=compiled):
            for _ in range(count):
                made = compiled(weights, inputs)
            synchronise(jax.tree.leaves(made)[0])

        yield part, repeat, {"bytes": cost.get("bytes accessed")}


def parts_torch(model, inputs, only=None):
    """As `parts_jax`, in eager PyTorch."""

    def repeat(count, backward):
        for _ in range(count):
            loss = model.compute_loss(x=inputs, y_pred=model(inputs, training=True))
            if backward:
                loss.backward()
                model.zero_grad(set_to_none=True)
        loss.item()

    if only is None:
        yield "forward", lambda count: repeat(count, False), {}
    yield "forward and backward", lambda count: repeat(count, True), {}


def trace_jax(train):
    """The longest kernels of a training step: lists of name, milliseconds and calls a step."""
    import jax

    spent = collections.Counter()
    calls = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0
        with jax.profiler.trace(folder, profiler_options=options):
            train(STEPS)
        for path in Path(folder).rglob("*.xplane.pb"):
            planes = list(jax.profiler.ProfileData.from_file(str(path)).planes)
            lines = [line for plane in planes if "GPU" in plane.name for line in plane.lines]
            # The streams of a GPU contain its kernels; its other lines repeat the same time.
            lines = [line for line in lines if "Stream" in line.name] or lines
            for event in (event for line in lines or planes[0].lines for event in line.events):
                spent[event.name] += event.duration_ns / 1e6
                calls[event.name] += 1
    return longest(spent, calls)


def trace_torch(train):
    """As `trace_jax`."""
    import torch

    kinds = [torch.profiler.ProfilerActivity.CPU]
    if torch.cuda.is_available():
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=kinds) as profile:
        train(STEPS)
    spent, calls = collections.Counter(), collections.Counter()
    for event in profile.events():
        on_device = event.device_type != torch.autograd.DeviceType.CPU
        if event.name.startswith(REGIONS):
            continue
        if on_device or not torch.cuda.is_available():
            spent[event.name] += (event.time_range.elapsed_us() if on_device else event.self_cpu_time_total) / 1e3
            calls[event.name] += 1
    return longest(spent, calls)


def longest(spent, calls):
    """The total, then the kernels with the longest times."""
    rows = [["all", sum(spent.values()), sum(calls.values())]]
    rows += [[name[:90], spent[name], calls[name]] for name, _ in spent.most_common(KERNELS)]
    return [[name, time / STEPS, count / STEPS] for name, time, count in rows]


def waits(train):
    """Places where a PyTorch step waits for the GPU: lists of file, line and count per step."""
    import torch

    if not torch.cuda.is_available():
        return []
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            train(STEPS)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    places = collections.Counter((w.filename, w.lineno) for w in caught if "synchroniz" in str(w.message))
    return [[*place, count / STEPS] for place, count in places.most_common(12)]
