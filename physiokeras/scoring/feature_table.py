"""Features and predictions of the windows of a folder of recordings, in one table."""

import csv
import functools
import io
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from physiokeras.errors import DataError
from physiokeras.files import locked, write_atomic
from physiokeras.pipelines import Definition
from physiokeras.scoring.folder_work import FolderWork, held
from physiokeras.scoring.one_record import RecordFiles
from physiokeras.scoring.record_writers import write_features
from physiokeras.scoring.sources import open_source
from physiokeras.scoring.trained_model import TrainedModel

FORMAT = 1
"""Raised whenever the same recording and model would give other files."""

HYPNOGRAM = "hypnogram_{}.png"
"""Name of a record's figure, which lies beside the table."""

FOLDER = "features"
"""Folder of the records' files below that of the table."""

CHANGED = "another job writes this record's features again; run the command again when that has ended."

FEATURES, PREDICTIONS = "features.npz", "predictions.csv"


class ExtractedFiles(RecordFiles):
    """`RecordFiles` of an extraction: the figure lies beside the table."""

    def path(self, name: str, kind: str) -> Path:
        """Path of a record's file."""
        return self.folder.parent / HYPNOGRAM.format(name) if kind == "png" else super().path(name, kind)


@dataclass(frozen=True)
class Extracted:
    """Result of a run of `extract_folder`.

    Args:
        windows: Number of windows of the table, those of other runs over the same folder included.
        records: Number of its records.
        set_aside: Name to why a record of this run could not be read.
    """

    windows: int
    records: int
    set_aside: dict[str, str]


def extract_folder(
    model: TrainedModel,
    source: str | os.PathLike,
    out: str | os.PathLike,
    *,
    definition: Definition | None = None,
    workers: int = 1,
    shard_index: int = 0,
    num_shards: int = 1,
    figures: bool = True,
    engine: Callable | None = None,
    progress: Callable[[str], object] | None = print,
) -> Extracted:
    """Write the features of each window of a folder of recordings, and what the model's layers predict.

    A rerun reads only records that are missing, failed or changed. `features.npz` and `predictions.csv` are made last,
    record after record, of all that is in `out/features`: the features of one record are in memory at a time.

    Args:
        model: `TrainedModel`, with or without tasks.
        source: As of `score_folder`.
        out: Folder of the results; made if missing.
        definition: As of `score_folder`.
        workers: As of `score_folder`.
        shard_index: As of `score_folder`.
        num_shards: As of `score_folder`.
        figures: Whether to draw hypnograms.
        engine: As of `score_folder`.
        progress: As of `score_folder`.

    Returns: `Extracted`.

    Raises:
        DataError: No records, or data that the model cannot read.
        OSError: The folder takes no more files; what is there stays, and a rerun goes on from there.
    """
    out = Path(out)
    records = open_source(source, model, out, definition, shard_index, num_shards)
    files = ExtractedFiles(out.absolute() / FOLDER, ("png", "npz"), write_features)
    with held(out, files.folder, shard_index, num_shards):
        wanted = functools.partial(kinds_of, figure=figures)
        work = FolderWork(model, records, files, ["features", FORMAT], wanted, {"figure": figures})
        _, _, set_aside = work.run("extract", workers, engine, progress or (lambda line: None))
        with locked(out / ".lock-table", wait=True):
            there = [one for one in work.own_facts() if "set_aside" not in one]
            paths = {one["record"]: files.path(one["record"], "npz") for one in there}
            write_table(out, paths, [one["windows"] for one in there], names_of_features(model))
    return Extracted(sum(one["windows"] for one in there), len(there), set_aside)


def kinds_of(facts, *, figure):
    """Kinds of a record's files besides JSON, by the content of that and by what is asked for."""
    return ["npz", *(["png"] if figure and "stage" in facts["tasks"] else [])]


def names_of_features(model):
    """Names of the columns of `features`, `(width,)`."""
    modalities = model.definition.modalities
    channels = {
        name: [channel.name for channel in modalities[name].channels]
        if name in modalities and len(modalities[name].channels) == sizes["channels"]
        else [str(number) for number in range(sizes["channels"])]
        for name, sizes in model.encoder.modalities.items()
    }
    return np.array(model.extractor.feature_names(channels, model.definition.patch), str)


def write_table(out, paths, windows, columns):
    """Write the rows of all records, one after another: `features.npz` and, where there are tasks, `predictions.csv`.

    Args:
        out: Folder of both.
        paths: Record to the path of its arrays, see `record_writers.write_features`.
        windows: Numbers of windows of the records, in the same order.
        columns: Names of the features, `(width,)`.
    """
    for name in (FEATURES, PREDICTIONS):
        (out / name).unlink(missing_ok=True)  # one of other records would be taken for this one
    if not paths:
        return
    with np.load(next(iter(paths.values()))) as first:
        features = [name for name in first.files if name.startswith("features")]
        tasks = [name for name in first.files if name.startswith("predicted/")]
    missing, names = _column(paths, "missing"), np.repeat(np.array(list(paths), str), windows)
    others = {"record": names, "seconds": _column(paths, "seconds"), "missing": missing}
    others |= {"columns": columns} if features == ["features"] else {}

    def arrays(file):
        with zipfile.ZipFile(file, "w") as archive:
            for name in features:
                with archive.open(f"{name}.npy", "w", force_zip64=True) as part:
                    _write_rows(part, [*paths.values()], name, sum(windows))
            for name, values in others.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as part:
                    np.lib.format.write_array(part, values)

    def predictions(file):
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        rows = csv.writer(text, lineterminator="\n")
        more = ["missing"] if any(missing) else []
        rows.writerow(["record", "seconds", *(name.removeprefix("predicted/") for name in tasks), *more])
        for record, path in paths.items():
            with np.load(path) as found:
                columns = [found[name].tolist() for name in ["seconds", *tasks, *more]]
            rows.writerows((record, *values) for values in zip(*columns, strict=True))
        text.detach()

    write_atomic(out / FEATURES, arrays)
    if tasks:
        write_atomic(out / PREDICTIONS, predictions)


def _column(paths, name):
    found = []
    for path in paths.values():
        try:
            with np.load(path) as arrays:
                found.append(arrays[name])
        except FileNotFoundError as error:
            raise DataError(CHANGED, file=path) from error
    return np.concatenate(found)


def _write_rows(file, paths, name, rows):
    """Write the rows of an array of several files as one array, a file in memory at a time."""
    dtype, count = None, 0
    for path in paths:
        with np.load(path) as arrays:
            values = np.ascontiguousarray(arrays[name], dtype)
        if dtype is None:
            dtype = values.dtype
            head = np.lib.format.header_data_from_array_1_0(values)
            np.lib.format.write_array_header_2_0(file, {**head, "shape": (rows, *values.shape[1:])})
        file.write(values.tobytes())
        count += len(values)
    if count != rows:
        raise DataError(f"{CHANGED} Received: {count} windows instead of {rows}.", file=paths[0].parent)
