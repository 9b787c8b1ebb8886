"""Sentences that explain a table of scores to somebody who sees one for the first time."""

import math

FEW_STEPS = 200
"""Steps below which a reconstruction cannot be expected to show anything."""

FEW_PEOPLE = 10
"""Test people below which pages warn: the bootstrap's intervals are too narrow, and scores cannot be told apart."""

MISSING = (
    "Balanced accuracy of the same test people where a modality is missing: *mapped* as `predict`, `score` and "
    "`extract` do it, by a linear map from the features of the others to those of all, fitted without labels; *not "
    "mapped* as a run with `--no-subset-maps` does it. Where mapping loses more than it helps, `physiokeras probe "
    "--run RUN --data PREPARED --no-subset-maps` makes a run without maps."
)

INPUTS = {
    "samples": "samples",
    "spectrum": "log band powers",
    "both": "samples and log band powers",
}
"""What an encoder reads, by its `view`."""

_COLUMNS = {
    "pretrained": "a linear layer on the features of the frozen, pretrained encoder",
    "untrained": "the same encoder with its initial weights, which pretraining has to exceed",
    "band power": "the same linear layer on the signals' log power in frequency bands, without any network: the floor "
    "that an encoder has to exceed",
    "supervised": "the same encoder and linear layer trained together on the labels, from new weights",
    "fine-tuned": "encoder and linear layer trained together on the labels",
    "frozen probe": "a linear layer on the features of the same encoder, frozen",
}

_SAMPLES = (
    "Samples of a noise-like signal such as EMG cannot be guessed from other modalities and stay near 0 %: the noise "
    "is new at every moment. Its power can be guessed where signals change together, as in sleep, when muscles relax "
    "and EEG slows: `--targets spectrum` predicts power."
)

_SPECTRA = (
    "The model predicts the power in frequency bands; those within a modality's band-pass count here, since outside of "
    "it only what the filter leaves is recorded. Samples of a noise-like signal such as EMG cannot be guessed from "
    "other modalities, since the noise is new at every moment; its power can where signals change together, as in "
    "sleep, when muscles relax and EEG slows. The figures `spectrograms*.png` show true and predicted powers."
)


def in_words(columns):
    """The balanced accuracies in sentences: the first column against each other one, and class by class.

    Two scores are called level if they are equal in two digits; of fewer than `FEW_PEOPLE` test people none is called
    anything. Whether a difference is more than chance is for the intervals of `physiokeras compare`.

    Args:
        columns: dict of title -> dict of task name -> `ProbeResult`.

    Returns: Markdown list.
    """
    (first, results), *others = columns.items()
    lines = []
    for name, result in results.items():
        value = result.windows.get("balanced_accuracy", math.nan)
        if not result.task.classes or math.isnan(value):
            continue
        few = people_tested(result) < FEW_PEOPLE
        said = []
        for title, baseline in others:
            if name in baseline:
                other = baseline[name].windows["balanced_accuracy"]
                difference = round(value, 2) - round(other, 2)
                how = "above" if difference > 0 else "below" if difference < 0 else "level with"
                said.append(f"{title} {other:.2f}" if few else f"{how} {title} ({other:.2f})")
        lines.append(f"- **{name}**: {', '.join([f'{first}, balanced accuracy {value:.2f}', *said])}.{_found(result)}")
    return "\n".join(lines)


def _found(result):
    shares = shares_found(result.task.classes, result.windows.get("confusion", ()))
    return f" Found of the windows of each class: {shares}." if shares else ""


def shares_found(classes, confusion):
    """Share of the windows of each class that are found, such as "W 88%, N1 85%"; classes without windows are left out.

    Args:
        classes: Names.
        confusion: Rows `[true][predicted]` of counts, or nothing.
    """
    rows = enumerate(zip(classes, confusion, strict=False))
    return ", ".join(f"{name} {row[number] / sum(row):.0%}" for number, (name, row) in rows if sum(row))


def people_tested(result):
    """Number of people on whom a probe was tested."""
    return len(set(result.predictions["people"].tolist()))


def caution(columns):
    """A paragraph where the test people are few, or "".

    Args:
        columns: As of `in_words`.
    """
    people = [people_tested(result) for result in next(iter(columns.values())).values()]
    if not people or min(people) >= FEW_PEOPLE:
        return ""
    some = "1 test person" if min(people) == 1 else f"{min(people)} test people"
    return (
        f"**Caution: {some}.** Intervals over fewer than {FEW_PEOPLE} people are too narrow, and these scores "
        "cannot be told apart. `physiokeras compare --folds 5` tests everybody, in turns."
    )


def scores(columns, view=None):
    """How to read the table of scores.

    Args:
        columns: dict of title -> dict of task name -> `ProbeResult`.
        view: What the encoder reads, as in `Encoder`; None: not said.

    Returns: Markdown paragraphs.
    """
    results = next(iter(columns.values())).values()
    classes = sorted({len(result.task.classes) for result in results if result.task.classes})
    lines = []
    if classes:
        chance = " and ".join(f"{1 / count:.2g} with {count} classes" for count in classes)
        lines += [
            "- **Higher is better**, 1 is perfect. Guessing gives a balanced accuracy (mean over classes of the share "
            f"found) of {chance}, an AUROC of 0.5 and a Cohen's kappa of 0."
        ]
    if any(not result.task.classes for result in results):
        lines += ["- Of a mean absolute error, **lower is better**."]
    lines += [f"- *{title}*: {_COLUMNS[title]}." for title in columns if title in _COLUMNS]
    lines += [f"- The encoder reads {INPUTS[view]}."] if view else []
    lines += ["- In brackets: 95 % intervals over test people. `physiokeras compare` tests differences."]
    return "\n".join(lines)


def reconstruction(found, targets, steps=None):
    """How to read the table of what modalities tell of one another.

    Args:
        found: As `physiokeras.analysis.reconstruction.held_out_reconstruction` returns it.
        targets: What was predicted, as in `MaskedAutoencoder`.
        steps: Number of steps of the training.

    Returns: list of Markdown paragraphs; the last warns where a reconstruction is worse than predicting the mean.
    """
    parts = [
        "Each modality is left out of the input in turn and predicted from the others. 100 % is a perfect prediction, "
        "and predicting the mean gives 0 %. **The first number should be above the second**, for which the others are "
        "taken from another window, and the second should not be above 0: then the prediction depends on the window. "
        + (_SAMPLES if targets == "samples" else _SPECTRA)
    ]
    worse = [name for name, numbers in found.items() if per_cent(numbers["explained"]).startswith("-")]
    if worse:
        trained = "" if steps is None else f" after {steps} steps"
        advice = (
            "So few steps cannot show anything."
            if steps is not None and steps < FEW_STEPS
            else "If the validation loss in metrics.csv still falls, train longer; if it rises, there are too few "
            "people to learn this from."
        )
        parts.append(f"**{', '.join(worse)} below 0: worse than predicting the mean{trained}.** {advice}")
    return parts


def per_cent(share):
    """A share as per cent with one decimal, never "-0.0 %"."""
    return f"{round(100 * share, 1) + 0.0:.1f} %"
