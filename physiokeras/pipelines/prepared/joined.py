"""Several prepared folders as one: union of modalities, channels and labels; what a folder lacks is absent.

Windows are those of one big folder: each folder is read in proportion to its number of windows. Splits are each
folder's own. People of two folders are different people, whatever they are called; a recording that lies in two folders
is refused, because it could train in one and test in the other.
"""

import functools
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from physiokeras.errors import DataError
from physiokeras.pipelines.prepared.joined_definition import joined_definition
from physiokeras.pipelines.prepared.manifest import Manifest, Record, identity_of, variances
from physiokeras.pipelines.prepared.remote import Remote
from physiokeras.pipelines.signals.channels import ABSENT

REQUESTS = 16
"""Sidecars that are read at once, which counts on remote file systems."""


@dataclass(frozen=True, repr=False)
class JoinedManifest(Manifest):
    """The contents of several prepared folders, or of one in the layout of more channels than it has.

    Args:
        parts: The folders' own manifests.
        homes: Number of the part, and number of the record there, of each record.
    """

    parts: tuple[Manifest, ...] = ()
    homes: tuple[tuple[int, int], ...] = ()

    def home(self, record: Record) -> tuple[Manifest, Record]:
        """The manifest that a `Record` comes from, and its `Record` there."""
        part, number = self.homes[record.index]
        return self.parts[part], self.parts[part].records[number]

    def write(self) -> NoReturn:
        """Refused: the manifest belongs to no folder."""
        raise DataError("a manifest of several folders is written nowhere.", file=self.folder)

    def modalities_of(self, record: Record) -> tuple[str, ...]:
        """As `Manifest.modalities_of`."""
        part, own = self.home(record)
        return part.modalities_of(own)

    def by_folder(self, records: list[Record]) -> list[tuple[Manifest, list[Record]]]:
        """`(manifest, its records)` for each folder with any of these records."""
        found: dict[int, list[Record]] = {}
        for record in records:
            found.setdefault(self.homes[record.index][0], []).append(self.home(record)[1])
        return [pair for number, own in found.items() for pair in self.parts[number].by_folder(own)]

    def value_counts(self, record: Record, label: str) -> dict[float, int]:
        """As `Manifest.value_counts`; empty where the record's folder lacks the label."""
        part, own = self.home(record)
        return part.value_counts(own, label) if label in part.labels else {}

    def sidecar(self, name: str) -> dict:
        """As `Manifest.sidecar`, under the record's name here."""
        part, own = self.home(self._named[name])
        return {**part.sidecar(own.name), "record": name}

    def shard(self, name: str) -> Path | Remote:
        """As `Manifest.shard`."""
        part, own = self.home(self._named[name])
        return part.shard(own.name)

    @functools.cached_property
    def _named(self):
        return {record.name: record for record in self.records}


def join(parts):
    """The manifest of several prepared folders.

    Args:
        parts: Their `Manifest`s, at least two.

    Raises:
        DataError: They do not go together; the message names the folders, both values and what to do.
    """
    for part in parts:
        if isinstance(part.folder, Remote) and not part.folder.is_copied:
            message = "is read in place by TensorFlow, which works for one folder alone. Install the extra [remote]."
            raise DataError(message, file=part.folder)
    together = " and ".join(str(part.folder) for part in parts)
    modalities = _modalities(parts)
    labels = _labels(parts)
    definition = joined_definition(parts, modalities)
    names = _names(parts)
    laid = _laid_out(parts, modalities, labels, lambda number, name: f"{names[number]}/{name}")
    problems = [f"{name}: {line}" for name, part in zip(names, parts, strict=True) for line in part.problems]
    set_aside = [
        {**entry, "record": f"{name}/{entry['record']}"}
        for name, part in zip(names, parts, strict=True)
        for entry in part.set_aside
    ]
    hashed = json.dumps(["joined", *(part.data_hash for part in parts)])
    joined = JoinedManifest(
        folder=together,
        definition=definition,
        modalities=modalities,
        tokens=parts[0].tokens,
        variances={},
        labels=labels,
        set_aside=set_aside,
        data_hash=hashlib.sha256(hashed.encode()).hexdigest(),
        versions=parts[0].versions,
        problems=problems,
        parts=tuple(parts),
        **laid,
    )
    with ThreadPoolExecutor(REQUESTS) as pool:
        sidecars = list(pool.map(joined.sidecar, [record.name for record in joined.records]))
    _refuse_common(joined, sidecars)
    splits = {record.name: record.split for record in joined.records}
    return replace(joined, variances=variances(modalities, sidecars, splits))


def in_layout_of(manifest, definition):
    """A prepared folder in the layout of a definition that has more channels, which are absent then.

    Args:
        manifest: `Manifest`.
        definition: Definition of a model's data, a dict.

    Returns: `JoinedManifest` of the one folder, with its names and hash; `manifest` itself where each modality that
        both have holds the same number of channels, or channels that the definition lacks.
    """
    modalities, wider = {}, False
    for name, modality in manifest.modalities.items():
        wanted = [channel["name"] for channel in definition["modalities"].get(name, {}).get("channels", ())]
        if len(wanted) > len(modality["channels"]) and set(modality["channels"]) <= set(wanted):
            modality, wider = {**modality, "channels": wanted}, True
        modalities[name] = modality
    if not wider:
        return manifest
    tables = dict(manifest.definition["modalities"])
    for name, modality in modalities.items():
        if modality != manifest.modalities[name]:
            tables[name] = {**tables[name], "channels": definition["modalities"][name]["channels"]}
    kept = ("folder", "tokens", "variances", "labels", "set_aside", "data_hash", "versions", "problems")
    laid = _laid_out([manifest], modalities, manifest.labels, lambda _, name: name)
    return JoinedManifest(
        definition={**manifest.definition, "modalities": tables},
        modalities=modalities,
        parts=(manifest,),
        **{name: getattr(manifest, name) for name in kept},
        **laid,
    )


def _names(parts):
    """A name for each folder, before those of its records and people."""
    names = [Path(str(part.folder)).resolve().name for part in parts]
    if len(set(names)) < len(names):
        return [f"{number}-{name}" for number, name in enumerate(names, 1)]
    return names


def _modalities(parts):
    """Union of the modalities: channels in the order of the first folder, then those that others have besides."""
    found, first = {}, {}
    for part in parts:
        if part.definition["window"] != parts[0].definition["window"] or part.tokens != parts[0].tokens:
            lengths = [f"{p.definition['window']:g} s in {p.tokens} patches ({p.folder})" for p in (parts[0], part)]
            raise DataError(
                f"windows of {lengths[0]} and of {lengths[1]} cannot be joined. Write equal `window` and `patch` in "
                "the definitions, and prepare one of them again."
            )
        for name, modality in part.modalities.items():
            if name not in found:
                found[name], first[name] = {**modality, "channels": list(modality["channels"])}, part
                continue
            _check_alike(name, first[name], part)
            known = found[name]["channels"]
            known += [channel for channel in modality["channels"] if channel not in known]
            found[name]["default"] |= modality["default"]
    owners = {}
    for name, modality in found.items():
        for channel in modality["channels"]:
            other = owners.setdefault(channel, name)
            if other != name:
                raise DataError(
                    f"channel {channel} belongs to the modality {other} in {first[other].folder} and to {name} in "
                    f"{first[name].folder}. Give both modalities one name, and prepare one of them again."
                )
    return found


def _check_alike(name, one, other):
    """Refuse a modality whose windows have other lengths or another scale in two folders."""
    for key, text in (("rate", "rate"), ("samples", "samples a window")):
        pair = one.modalities[name][key], other.modalities[name][key]
        if pair[0] != pair[1]:
            _refuse(f"modality {name}", text, pair, one, other, f"Write one `rate` in both [modalities.{name}]")
    found = other_scale(*(part.definition["modalities"][name] for part in (one, other)))
    if found:
        key, *pair = found
        _refuse(f"modality {name}", key, pair, one, other, f"Write one `{key}` in both [modalities.{name}]")


def other_scale(one, other):
    """The first setting by which two tables [modalities.NAME] scale values differently: its key, both values; or None.

    A unit that one of them does not name, as of recordings that state none, is no difference.
    """
    for key, default in (("scale", "robust"), ("unit", None), ("offset", 0.0), ("factor", 1.0)):
        pair = one.get(key, default), other.get(key, default)
        stated = key != "unit" or None not in pair
        if pair[0] != pair[1] and stated and (key == "scale" or one.get("scale") == "physical"):
            return key, *pair
    return None


def _labels(parts):
    """Union of the labels."""
    found, first = {}, {}
    for part in parts:
        for name, label in part.labels.items():
            known, owner = found.setdefault(name, label), first.setdefault(name, part)
            for key in ("kind", "classes"):
                if known[key] != label[key]:
                    advice = f"Write one `{key}` in both [labels.{name}], or give one of the labels another name"
                    _refuse(f"label {name}", key, (known[key], label[key]), owner, part, advice)
    return found


def _refuse(what, key, values, one, other, advice):
    raise DataError(
        f"{what}: {key} {values[0]!r} in {one.folder} and {values[1]!r} in {other.folder} cannot be joined. {advice}, "
        "and prepare one of them again."
    )


def _laid_out(parts, modalities, labels, named):
    """Records and homes of all folders' records, in a layout; `named` gives names from a folder's number and a name."""
    records, homes = [], []
    for number, part in enumerate(parts):
        for record in part.records:
            homes.append((number, record.index))
            own = {(channel["modality"], channel["channel"]): channel for channel in record.channels}
            channels = [
                own.get((name, c), {"channel": c, "modality": name, "present": 0.0, "notes": [f"{ABSENT}'s data set"]})
                for name, modality in modalities.items()
                for c in modality["channels"]
            ]
            changed = {
                "name": named(number, record.name),
                "person": named(number, record.person),
                "present": {name: record.present.get(name, 0) for name in modalities},
                "labels": {name: record.labels.get(name, {}) for name in labels},
                "channels": channels,
                "index": len(records),
            }
            records.append(replace(record, **changed))
    return {"records": records, "homes": tuple(homes)}


def _refuse_common(joined, sidecars):
    """Refuse a recording that lies in two folders."""
    seen = {}
    for record, sidecar in zip(joined.records, sidecars, strict=True):
        identity = identity_of(sidecar.get("sources") or {})
        other = seen.setdefault(identity, record)
        if identity is not None and joined.homes[other.index][0] != joined.homes[record.index][0]:
            (one, first), (two, second) = joined.home(other), joined.home(record)
            raise DataError(
                f"record {first.name} ({first.split}) of {one.folder} and record {second.name} ({second.split}) of "
                f"{two.folder} are the same recording. Prepare one of them without it."
            )
