"""Results of `bench_gpu.py` as lines and tables."""

from step_cost import peak, step_flops

SHOWN = 13
"""Number of lines in a table of kernels; results.json has all of them."""


def describe(row):
    """One result as a line."""
    who = f"{row['kind']:8s}{row['engine']:18s} {row['policy']:15s} width {row['width']:5d}"
    who += f" batch {row['batch']:5d}" if "batch" in row else ""
    if "error" in row:
        return f"{who}  FAILED {row.get('attention', '')} {row['error']}"
    if row["kind"] == "step":
        host = f", {1e3 * row['host_step']:.2f} from the host" if row["host_step"] else ""
        return f"{who}  {1e3 * row['step']:8.2f} ms a step{host}; first step {row['first']:.1f} s"
    if row["kind"] == "limits":
        return f"{who}  product {row['matmul'] / 1e12:.0f} TFLOP/s, copy {row['copy'] / 1e9:.1f} GB/s"
    if row["kind"] == "train":
        losses = "; ".join(f"{name} {row['before'][name]:.3f} to {row['after'][name]:.3f}" for name in row["before"])
        return f"{who}  {row['steps']} steps in {row['seconds']:.1f} s; held-out loss {losses}"
    if "kernels" in row:
        _, spent, calls = row["kernels"][0]
        return f"{who}  {calls:.0f} kernels, {spent:.2f} ms a step"
    if "waits" in row:
        return f"{who}  {sum(count for *_, count in row['waits']):.0f} waits for the device a step"
    moved = f", {row['bytes'] / 1e9:.2f} GB by XLA's count" if row.get("bytes") else ""
    return f"{who}  {1e3 * row['step']:8.2f} ms {row['part']}, attention {row['attention']}{moved}"


def tables(found):
    """All results in Markdown."""
    rows = [row for row in found["rows"] if "error" not in row]
    failed = [row for row in found["rows"] if "error" in row]
    parts = [f"Card: {found['card']}", steps(found, rows), ratios(rows), trainings(rows), profile(rows)]
    if failed:
        parts.append("Failed:\n\n" + "\n".join(f"- {' '.join(describe(row).split())}" for row in failed))
    if found["skipped"]:
        parts.append("Skipped, as time was up:\n\n" + "\n".join(f"- {one}" for one in found["skipped"]))
    return "\n\n".join(part for part in parts if part) + "\n"


def flops(found, row):
    """Floating-point operations of a step of a row, as counted for the package's model."""
    job = next(one for one in found["jobs"] if one["name"] == {key: row[key] for key in one["name"]})
    return step_flops(job["modalities"], row["batch"], job["time"], row["width"], job["depth"])


def steps(found, rows):
    """The table of training steps."""
    limits = {(row["engine"] == "jax", row["policy"]): row["matmul"] for row in rows if row["kind"] == "limits"}
    head = ("engine", "policy", "width", "batch", "windows/s", "ms", "±", "TFLOP/s")
    head += ("% of peak", "% of matmul", "GB", "build s", "first step s", "% input")
    lines = []
    for row in (row for row in rows if row["kind"] == "step"):
        rate = flops(found, row) / row["step"]
        top, product = peak(found["card"], row["policy"]), limits.get((row["engine"] == "jax", row["policy"]))
        late = 1 - row["step"] / row["host_step"] if row["host_step"] else None
        shares = (100 * rate / top if top else None, 100 * rate / product if product else None, row["memory"])
        cells = [row["batch"] / row["step"], 1e3 * row["step"], 1e3 * row["spread"], rate / 1e12, *shares]
        cells += [row["built"], row["first"], late if late is None else 100 * late]
        lines.append([row["engine"], row["policy"], row["width"], row["batch"], *map(number, cells)])
    return table(head, lines)


def ratios(rows):
    """Windows per second of the package's models relative to the compiled reference."""
    measured = {
        (row["engine"], row["policy"], row["width"], row["batch"]): row for row in rows if row["kind"] == "step"
    }
    lines = []
    for (engine, *place), row in measured.items():
        other = measured.get(("reference-compile", *place))
        if other and not engine.startswith("reference"):
            lines.append([engine, *place, number(other["step"] / row["step"])])
    return table(("engine", "policy", "width", "batch", "speed over reference-compile"), lines)


def trainings(rows):
    """Held-out losses of the short trainings; predicting the mean gives 1."""
    lines = [
        [
            row["engine"],
            row["width"],
            name,
            row["steps"],
            row["batch"],
            *map(number, (row["seconds"], before, row["after"][name])),
        ]
        for row in rows
        if row["kind"] == "train"
        for name, before in row["before"].items()
    ]
    return table(("engine", "width", "windows", "steps", "batch", "seconds", "loss before", "after"), lines)


def profile(rows):
    """Parts of a step, kernels and waits."""
    rows = [row for row in rows if row["kind"] == "profile"]
    lines = [
        [
            row["engine"],
            row["attention"],
            row["part"],
            number(1e3 * row["step"]),
            number((row["bytes"] or 0) / 1e9) if "bytes" in row else "-",
        ]
        for row in rows
        if "part" in row
    ]
    parts = [table(("engine", "attention", "part", "ms", "GB by XLA's count"), lines)]
    for row in rows:
        for what, head in (("kernels", ("kernel", "ms a step", "calls a step")), ("waits", ("file", "line", "a step"))):
            if row.get(what):
                lines = [[cell if isinstance(cell, str) else number(cell) for cell in one] for one in row[what][:SHOWN]]
                parts.append(f"{what.capitalize()} of {row['engine']}:\n\n" + table(head, lines))
    return "\n\n".join(part for part in parts if part)


def number(value):
    """A number with about three digits."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def table(head, lines):
    """A Markdown table; empty without lines."""
    if not lines:
        return ""
    rows = [head, ["-" * 3] * len(head), *lines]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "/") for cell in row) + " |" for row in rows)
