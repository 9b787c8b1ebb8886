"""The table of commands. A new command is a module of `physiokeras.recipes` with a `main`, and a line of `COMMANDS`."""

import difflib

PURPOSES = {
    "look": "look at recordings",
    "convert": "convert recordings to training data",
    "train": "train a model",
    "judge": "judge what it has learned",
    "use": "use a model",
    "check": "check the installation",
}
"""Purpose -> heading of `physiokeras --help`, in the order in which a user meets them."""

COMMANDS = {
    "inspect": ("look", "describe a record or a folder of records, and doubts about their quality"),
    "simulate": ("convert", "simulate polysomnograms as recordings, to try the other commands on"),
    "prepare": ("convert", "convert a folder of recordings to shards from which training streams windows"),
    "pretrain": ("train", "pretrain an encoder without labels, and probe it; without data: the demo"),
    "search": ("train", "search settings of pretraining by the score of a probe"),
    "finetune": ("train", "train a pretrained encoder further on labels"),
    "probe": ("judge", "score linear probes on a frozen encoder, on its own or on other data"),
    "compare": ("judge", "compare training strategies over seeds and folds, as the paper does"),
    "challenge": ("judge", "score arousals as the PhysioNet/CinC Challenge 2018 does"),
    "analyze": ("judge", "measure attention, tuning of features, reconstruction and representation of a model"),
    "score": ("use", "score recordings: hypnograms, probabilities, events, sleep statistics, and a page of all nights"),
    "presets": ("use", "list the trained models that the package ships"),
    "extract": ("use", "write features, predictions and hypnograms for a folder of recordings"),
    "export": (
        "use",
        "export features or predictions to SavedModel, ONNX, LiteRT, OpenVINO or PyTorch, and check them",
    ),
    "push": ("use", "upload a model to the Hugging Face Hub"),
    "doctor": ("check", "show backends, devices, threads, versions and disk, and what to install"),
}
"""Command -> purpose and summary. `physiokeras NAME` runs `main` of the module `physiokeras.recipes.NAME`."""


def usage():
    """Text of `physiokeras --help`."""
    width = max(map(len, COMMANDS))
    lines = ["usage: physiokeras COMMAND [settings]", "       physiokeras COMMAND --help", ""]
    lines += ["Foundation models of physiological signals."]
    for purpose, title in PURPOSES.items():
        lines += ["", f"{title}:"]
        lines += [f"  {name:{width}}  {summary}" for name, (kind, summary) in COMMANDS.items() if kind == purpose]
    lines += ["", "other:", "  --version", "  --print-completion {bash,zsh,tcsh}   script of a shell's completion"]
    return "\n".join([*lines, "", "A first run on simulated data, in about 5 minutes: physiokeras pretrain"])


def unknown(word):
    """A sentence on a word that names no command."""
    if word.startswith("-"):
        return f"the command comes first, then its settings. Received: {word}."
    close = difflib.get_close_matches(word, COMMANDS, 1)
    return f"no command {word!r}." + (f" Did you mean `{close[0]}`?" if close else "")
