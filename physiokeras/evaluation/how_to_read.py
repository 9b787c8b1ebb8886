"""Sentences that explain a table of scores to somebody who sees one for the first time."""

import math

FEW_STEPS = 200
"""Steps below which a reconstruction cannot be expected to show anything."""

_COLUMNS = {
    "pretrained": "a linear layer on the features of the frozen, pretrained encoder",
    "untrained": "the same encoder with its initial weights, which pretraining has to exceed",
    "band power": "the same linear layer on the signals' log power in frequency bands, without any network: the floor "
    "that an encoder has to exceed",
    "fine-tuned": "encoder and linear layer trained together on the labels",
    "frozen probe": "a linear layer on the features of the same encoder, frozen",
}

_SAMPLES = (
    "Samples of a noise-like signal such as EMG cannot be guessed from other modalities and stay near 0 %: the noise "
    "is new at every moment. Its power can be guessed, since muscles relax in sleep, which EEG shows too: "
    "`--targets spectrum` predicts power."
)

_SPECTRA = (
    "The model predicts the power in frequency bands. Samples of a noise-like signal such as EMG cannot be guessed "
    "from other modalities, since the noise is new at every moment; its power can, since muscles relax in sleep, which "
    "EEG shows too. The figures `spectrograms*.png` show true and predicted powers."
)


def in_words(columns):
    """The balanced accuracies in sentences: the first column against each other one.

    Two scores are called level if they are equal in two digits. Whether a difference is more than chance is for the
    intervals of `physiokeras compare`.

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
        said = []
        for title, baseline in others:
            if name in baseline:
                other = baseline[name].windows["balanced_accuracy"]
                difference = round(value, 2) - round(other, 2)
                how = "above" if difference > 0 else "below" if difference < 0 else "level with"
                said.append(f"{how} {title} ({other:.2f})")
        lines.append(
            f"- **{name}**: {first}, balanced accuracy {value:.2f}" + "".join(f", {text}" for text in said) + "."
        )
    return "\n".join(lines)


def scores(columns):
    """How to read the table of scores.

    Args:
        columns: dict of title -> dict of task name -> `ProbeResult`.

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
        trained = "" if steps is None else f"; trained for {steps} steps" + (" only" if steps < FEW_STEPS else "")
        parts.append(f"**{', '.join(worse)} below 0: worse than predicting the mean{trained}.**")
    return parts


def per_cent(share):
    """A share as per cent with one decimal, never "-0.0 %"."""
    return f"{round(100 * share, 1) + 0.0:.1f} %"
