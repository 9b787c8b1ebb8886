"""The jobs of `bench_gpu.py`, most important first."""

HALF, WHOLE = POLICIES = ("mixed_bfloat16", "float32")
ENGINES = ("jax", "torch", "torch-compile", "reference", "reference-compile")
COMPARED = ("jax", "reference-compile", "torch")
WIDTHS = (256, 512, 1024)
MODALITIES = {"eeg": (6, 100), "eog": (1, 100), "emg": (1, 200), "ecg": (1, 100)}
"""Channels and sampling rate of the paper's window of 30 s in 30 tokens."""

FIRST = [(engine, HALF, width, [256]) for engine in COMPARED for width in WIDTHS]
"""Engine, policy, width and batch sizes of the first jobs of the default plan."""

LAST = [
    ("jax", HALF, 1024, [1024]),
    ("reference-compile", HALF, 1024, [1024]),
    ("jax", HALF, 256, [32, 1024]),
    ("reference-compile", HALF, 256, [32, 1024]),
    ("torch", HALF, 256, [32, 1024]),
    ("jax", WHOLE, 256, [256]),
    ("jax", WHOLE, 1024, [256]),
    ("reference-compile", WHOLE, 256, [256]),
    ("reference-compile", WHOLE, 1024, [256]),
    ("torch", WHOLE, 256, [256]),
    ("torch", WHOLE, 1024, [256]),
    ("reference", HALF, 256, [256]),
    ("reference", HALF, 1024, [256]),
    ("torch-compile", HALF, 256, [256]),
]
"""The same for the jobs after the profile and the trainings."""


def plan(args):
    """List of jobs, each as plain data for a process."""
    chosen = args.engines or args.policies or args.widths or args.batches
    first, last = (FIRST, LAST) if not (chosen or args.tiny) else (_grid(args), [])
    engines = args.engines or COMPARED
    jobs = [job(args, *one) for one in first]
    width, batch = (32, 4) if args.tiny else (1024, 256)
    if args.profile:
        jobs += [job(args, engine, HALF, width, [batch], "profile") for engine in engines]
    if args.data:
        jobs += [job(args, *one, "train") for one in _trainings(args, engines)]
    jobs += [job(args, *one) for one in last]
    if not args.reference:
        jobs = [one for one in jobs if not one["name"]["engine"].startswith("reference")]
    seen = set()
    for one in jobs:
        kind = one["name"]["engine"] == "jax", one["name"]["policy"]
        one["limits"] = one["name"]["kind"] == "step" and kind not in seen
        seen.update([kind] if one["limits"] else [])
    return jobs


def _grid(args):
    """All combinations that the flags name, with defaults for flags that are not given."""
    return [
        (engine, policy, width, args.batches or ([2, 4] if args.tiny else [256]))
        for policy in args.policies or ((HALF,) if args.tiny else POLICIES)
        for width in args.widths or ((32,) if args.tiny else WIDTHS)
        for engine in args.engines or COMPARED
    ]


def _trainings(args, engines):
    return [(e, HALF, 32 if args.tiny else 256, [4 if args.tiny else 32]) for e in engines if e in ("jax", "torch")]


def job(args, engine, policy, width, batches, kind="step"):
    """A job as plain data."""
    small = args.tiny and kind != "train"  # a training uses the windows of its file
    time = 4 if small else 30
    return {
        "name": {"kind": kind, "engine": engine, "policy": policy, "width": width},
        "batches": batches,
        "modalities": {n: {"samples": time * rate, "channels": count} for n, (count, rate) in MODALITIES.items()},
        "time": time,
        "depth": 2 if args.tiny else 8,
        "heads": 4 if args.tiny else 16 if width >= 1024 else 8,
        "rate": 3e-4,
        "steps": 3 if args.tiny else 600,
        "seconds": args.seconds,
        "reference": args.reference,
        "data": args.data,
        "limits": False,
        "tiny": args.tiny,
    }
