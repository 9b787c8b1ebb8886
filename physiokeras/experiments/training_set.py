"""Recordings that a model was trained on: saved with it, so that predictions on them can be marked."""

import contextlib

from physiokeras.pipelines.prepared.manifest import identity_of

SEEN = ("pretrain", "train", "validation")
"""Splits from which something is learned or chosen, in the order in which they are named."""


def identity_of_record(manifest, name):
    """`identity_of` a record of a prepared folder; None where its sidecar cannot be read."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return identity_of(manifest.sidecar(name)["sources"])
    return None


def seen(manifest, splits=None, earlier=None):
    """The recordings that a model has seen, for its `metadata.json`; names of people and records are not among it.

    Args:
        manifest: `Manifest` of the data that it learns from.
        splits: Split to names of records, of `SEEN`; None: as in the manifest.
        earlier: Folder of the model from which it begins, whose recordings count too.

    Returns: dict of split to sorted identities; and "unknown": True where recordings among them have none.
    """
    if splits is None:
        splits = {name: [r.name for r in manifest.select(name)] for name in SEEN if name in manifest.splits}
    found = {split: {identity_of_record(manifest, name) for name in names} for split, names in splits.items()}
    if earlier is not None:
        from physiokeras.models.saving import metadata  # which imports Keras; workers need it not

        before = metadata(earlier).get("seen") or {"unknown": True}
        for split in SEEN:
            found.setdefault(split, set()).update(before.get(split, ()), {None} if before.get("unknown") else ())
    unknown = {"unknown": True} if any(None in identities for identities in found.values()) else {}
    return {split: sorted(found[split] - {None}) for split in SEEN if found.get(split)} | unknown


def split_of(identity, facts, manifest=None, record=None):
    """The split in which a model has seen a recording.

    Args:
        identity: Of the recording, see `identity_of`; None: unknown.
        facts: The model's `metadata.json`.
        manifest: Prepared data that it comes from, if any.
        record: Its name there.

    Returns: one of `SEEN`; "none" where the model has not seen it; None where that is not known.
    """
    known = facts.get("seen")
    if identity is None and manifest is not None and manifest.data_hash == facts.get("data_hash"):
        known = None  # recordings that came from memory are known by their place in the data alone
    if known and identity is not None:
        return next((s for s in SEEN if identity in known.get(s, ())), None if known.get("unknown") else "none")
    if not known and manifest is not None and manifest.data_hash == facts.get("data_hash"):
        (found,) = manifest.select(records=[record])
        return found.split if found.split in SEEN else "none"
    return None


def described(split):
    """The result of `split_of` as a sentence for figures and pages; "" for a recording that the model has not seen."""
    words = {"validation": "was in the validation set", None: "training set unknown"}
    if split in ("pretrain", "train"):
        return "was in the training set"
    return words.get(split, "")
