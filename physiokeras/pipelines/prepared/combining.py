"""Makes the manifest of a prepared folder from what its conversions noted of each record."""

import hashlib
import json
from pathlib import Path

from physiokeras.pipelines.prepared.manifest import Manifest, Record, check_people, variances
from physiokeras.pipelines.prepared.notes import copies, lacking


def combine(folder, definition, sidecars, people, splits, versions):
    """The manifest of a folder's converted records.

    Args:
        folder: The prepared folder.
        definition: `Definition`.
        sidecars: The records' sidecars, in the order that the manifest will have; failed ones among them.
        people: Record name -> person.
        splits: Record name -> split.
        versions: Package -> version.
    """
    good = [sidecar for sidecar in sidecars if "set_aside" not in sidecar]
    keep = ("windows", "seconds", "sex", "age", "bytes", "sha256", "present", "labels", "channels", "notes")
    records = [
        Record(
            name=s["record"],
            person=people[s["record"]],
            split=splits[s["record"]],
            **{key: s[key] for key in keep},
            start=s.get("start", 0.0),
            index=index,
        )
        for index, s in enumerate(good)
    ]
    check_people(records, folder)
    hashed = json.dumps([definition.to_dict(), [[r.name, r.split, r.sha256] for r in records]])
    return Manifest(
        folder=Path(folder),
        definition=definition.to_dict(),
        modalities={
            name: {
                "rate": modality.rate,
                "samples": definition.samples(name),
                "channels": [channel.name for channel in modality.channels],
                "default": modality.default,
            }
            for name, modality in definition.modalities.items()
        },
        tokens=definition.tokens,
        variances=variances(definition.modalities, good, splits),
        labels={
            name: {"kind": label.kind, "classes": list(label.classes)} for name, label in definition.labels.items()
        },
        records=records,
        set_aside=[{"record": s["record"], "reason": s["set_aside"]} for s in sidecars if "set_aside" in s],
        data_hash=hashlib.sha256(hashed.encode()).hexdigest(),
        versions=versions,
        problems=[*lacking(records, definition)[0], *copies(good, people, splits)],
    )
