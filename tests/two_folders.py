"""Two small prepared folders that share a modality of different channels, with random windows."""

import json

import numpy as np

from physiokeras.pipelines import Definition
from physiokeras.pipelines.converting.conversion import examples
from physiokeras.pipelines.prepared.combining import combine
from physiokeras.pipelines.prepared.shards import write_shard

SLEEP = {
    "name": "sleep",
    "window": 8.0,
    "modalities": {"eeg": {"rate": 4, "channels": ["A", "B"]}, "ecg": {"rate": 8, "channels": ["D"]}},
    "labels": {"stage": {"kind": "stages", "annotator": "x", "classes": ["W", "S"]}},
}
WRIST = {
    "name": "wrist",
    "window": 8.0,
    "people": "people.csv",
    "modalities": {"eeg": {"rate": 4, "channels": ["C", "B"]}, "bvp": {"rate": 6, "channels": ["P"]}},
    "labels": {"age": {"kind": "age"}},
}
SPLITS = {"t": "train", "v": "validation", "x": "test"}


def prepare(folder, table, counts, seed=0):
    """A prepared folder of random windows, with sidecars; a record's first letter is its split."""
    definition = Definition.from_dict(table)
    (folder / "records").mkdir(parents=True)
    draw, sidecars = np.random.default_rng([seed, len(table["name"])]), []
    for name, count in counts.items():
        stored = {
            key: draw.integers(-32767, 32768, (count, definition.samples(key), len(m.channels)), np.int16)
            for key, m in definition.modalities.items()
        }
        present = draw.random((count, len(definition.channels))) < 0.8
        labels = {"stage": np.arange(count, dtype=np.int32) % 2, "age": np.full(count, 50.5, np.float32)}
        labels = {label: labels[label] for label in definition.labels}
        shard = write_shard(folder / "records" / f"{name}.tfrecord", examples(name, stored, present, labels))
        channels = [{"channel": c.name, "modality": key, "present": 1.0, "notes": []}
                    for key, m in definition.modalities.items() for c in m.channels]  # fmt: skip
        exact = {key: values.astype(float) for key, values in stored.items()}
        sidecars.append({
            "record": name, "seconds": 8.0 * count, "sex": "F", "age": 50.5, "channels": channels, "notes": [],
            "present": dict.fromkeys(definition.modalities, count), "labels": {}, **shard,
            "sums": {key: [v.size, v.sum(), (v**2).sum()] for key, v in exact.items()},
            "sources": {f"{name}.dat": {"size": 9, "sha256": f"{seed}{table['name']}{name}" + 64 * "0"}},
        })  # fmt: skip
        (folder / "records" / f"{name}.json").write_text(json.dumps(sidecars[-1]))
    people, splits = {name: name[1:] for name in counts}, {name: SPLITS[name[0]] for name in counts}
    combine(folder, definition, sidecars, people, splits, {}).write()
    return folder
