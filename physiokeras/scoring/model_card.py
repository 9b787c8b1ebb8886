"""The card of a model on the hub: metadata that the hub reads, and a page that people read."""

from physiokeras.experiments import hub
from physiokeras.markdown import markdown_table

SCORES = {
    "balanced_accuracy": "balanced accuracy (chance 1/classes)",
    "kappa": "Cohen's kappa (chance 0)",
    "auroc": "AUROC (chance 0.5)",
    "auprc": "AUPRC",
    "mae": "mean absolute error",
    "r2": "R²",
}
"""Scores that the card shows -> their names, in this order."""

LICENSES = ("apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "odc-by")
"""Identifiers of licences that the hub knows; others are called "other" and get a name."""


def card_text(model, address, license_name, body=None):
    """Text of README.md.

    Args:
        model: `TrainedModel`.
        address: Where it will lie, "hf://user/name".
        license_name: The licence, in the words of its author or as the hub's identifier.
        body: Page that the model has already; None: one is made of what is known.

    Returns: text, whose head is the hub's metadata in YAML.
    """
    head, text = metadata_of(model, address, license_name), body or page(model, address)
    return f"---\n{head}\n---\n\n{text}\n{usage(model, address)}"


def metadata_of(model, address, license_name):
    """The hub's metadata as YAML: library, licence, tags, and scores."""
    package, facts = hub.package(), model.card
    known = license_name.lower() in LICENSES
    named = {"license": license_name.lower()} if known else {"license": "other", "license_name": license_name}
    results = [
        package.EvalResult(
            task_type="other",
            task_name=task,
            dataset_type="other",
            dataset_name=facts["data"],
            metric_type=metric,
            metric_value=value,
        )
        for task, _, found in scores_of(facts["scores"], first_alone=True)
        for metric, value in found.items()
    ]
    tags = ["physiokeras", "physiological-signals", "safetensors", *facts["modalities"], *facts["tasks"]]
    data = package.ModelCardData(
        **named,
        library_name="keras",
        pipeline_tag="feature-extraction",
        tags=list(dict.fromkeys(tags)),
        eval_results=results or None,
        model_name=address.rpartition("/")[2] if results else None,
    )
    return data.to_yaml()


def page(model, address):
    """The page of a model that has none: what it reads, what it predicts, its size and its scores."""
    facts, name = model.card, address.rpartition("/")[2]
    inputs = [("modality", "channels", "samples of a window")]
    inputs += [(key, sizes["channels"], sizes["samples"]) for key, sizes in facts["modalities"].items()]
    tasks = [("task", "classes"), *((task, ", ".join(classes)) for task, classes in facts["tasks"].items())]
    found = scores_of(facts["scores"])
    shown = [metric for metric in SCORES if any(metric in values for *_, values in found)]
    scores = [("task", "by", *(SCORES[metric] for metric in shown))]
    scores += [(task, who, *(_number(values.get(metric)) for metric in shown)) for task, who, values in found]
    simulated = " These data are simulated." if facts["data"] == "simulated" else ""
    parts = [
        f"# {name}",
        f"{facts['kind']} of physiological signals with {facts['parameters']:,} weights, trained on the data set "
        f"{facts['data']}.{simulated} {facts['description']}".strip(),
        f"It reads windows of {facts['window_seconds']:g} s; modalities may be missing.",
        markdown_table(inputs),
        markdown_table(tasks) if facts["tasks"] else "It gives features; it has no probes.",
        "## Scores\n\n" + ("On people whom it has not seen in training.\n\n" if found else "") + markdown_table(scores),
        "## Not for\n\nAny medical or personal decision.\n",
    ]
    return "\n\n".join(parts)


def usage(model, address):
    """How the model is loaded."""
    name = f'"{address}"'
    lines = [f"model = physiokeras.load({name})", "model.features(windows)  # {modality: (windows, samples, channels)}"]
    lines += [f'model.predict("night.edf", task="{task}")' for task in list(model.tasks)[:1]]
    code = "\n".join(["import physiokeras", "", *lines])
    keras = f"import physiokeras.models; keras.saving.load_model({name})"
    return (
        f"## Use\n\n```python\n{code}\n```\n\n"
        f"`pip install 'physiokeras[hub]'`; files are checked against `{hub.LISTING}`. "
        f"`{keras}` gives the Keras model alone.\n"
    )


def scores_of(scores, first_alone=False):
    """Scores of `run.json` that a card shows.

    Args:
        scores: Column, such as "pretrained" -> task -> dict with "windows" or "people", a dict of scores.
        first_alone: Only the first column, the model's own.

    Returns: list of (task, column, dict of score to number).
    """
    rows = []
    for column, tasks in list(scores.items())[: 1 if first_alone else None]:
        for task, found in tasks.items() if isinstance(tasks, dict) else ():
            values = found.get("windows", found.get("people")) if isinstance(found, dict) else None
            values = values if isinstance(values, dict) else {}
            known = {metric: values[metric] for metric in SCORES if isinstance(values.get(metric), int | float)}
            rows += [(task, column, known)] if known else []
    return rows


def _number(value):
    return "" if value is None else f"{value:.3f}"
