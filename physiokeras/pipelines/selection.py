"""Which windows of a prepared folder a stream reads: records, modalities, labels, a host's share."""

from dataclasses import dataclass

from physiokeras.errors import DataError
from physiokeras.pipelines.manifest import Manifest

POSITIONS = ("record", "window")
"""What may be asked for besides the definition's labels: numbers of the record and of the window in it."""


@dataclass(frozen=True)
class Selection:
    """A host's part of a prepared folder.

    Attributes:
        manifest: The folder's `Manifest`.
        records: The records it reads, dicts of the manifest with their number `index`.
        extents: For each of them `(first, count)`: the stored windows that are this host's.
        modalities: Names, in the definition's order.
        labels: Names.
        total: Windows of all hosts together.
        hosts: How many hosts.
    """

    manifest: Manifest
    records: list
    extents: list
    modalities: tuple
    labels: tuple
    total: int
    hosts: int

    @classmethod
    def of(cls, folder, split, records, modalities, labels, host):
        """Choose by names; each is checked.

        Raises:
            DataError: An unknown name, nothing selected.
            ValueError: An impossible `host`.
        """
        manifest = folder if isinstance(folder, Manifest) else Manifest.read(folder)
        number, hosts = host
        if not 0 <= number < hosts:
            raise ValueError(f"`host` must be (number, count) with 0 <= number < count. Received: host={host}.")
        chosen = manifest.select(split, records)
        modalities = manifest.defaults if modalities is None else modalities
        _known(modalities, manifest.modalities, "modality", manifest)
        _known(labels, (*manifest.labels, *POSITIONS), "label", manifest)
        total = sum(record.windows for record in chosen)
        extents = share([record.windows for record in chosen], number, hosts)
        mine = [(record, extent) for record, extent in zip(chosen, extents, strict=True) if extent[1]]
        return cls(
            manifest=manifest,
            records=[record for record, _ in mine],
            extents=[extent for _, extent in mine],
            modalities=tuple(name for name in manifest.modalities if name in set(modalities)),
            labels=tuple(labels),
            total=total,
            hosts=hosts,
        )

    @property
    def windows(self):
        """Windows of this host."""
        return sum(count for _, count in self.extents)

    def steps(self, batch_size):
        """Full batches in a pass, the same for every host.

        Raises:
            DataError: Fewer windows than one batch.
        """
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"`batch_size` must be an integer of at least 1. Received: batch_size={batch_size!r}.")
        steps = self.total // self.hosts // batch_size
        if not steps:
            raise DataError(
                f"{self.total} windows for {self.hosts} host(s) are fewer than one batch of {batch_size}; "
                "take a smaller batch.",
                file=self.manifest.folder,
            )
        return steps

    @property
    def columns(self):
        """Positions, among all the definition's channels, of those of the chosen modalities."""
        columns, start = [], 0
        for name, modality in self.manifest.modalities.items():
            stop = start + len(modality["channels"])
            columns += range(start, stop) if name in self.modalities else ()
            start = stop
        return columns


def share(counts, number, hosts):
    """Cut the row of all windows into `hosts` even stretches; give each record's part of stretch `number`.

    Args:
        counts: Windows of each record.
        number: Which stretch.
        hosts: How many.

    Returns: `(first, count)` for each record; count 0 where the stretch does not meet it. The stretches cover all
        windows, no two meet, and their lengths differ by at most one.
    """
    total = sum(counts)
    begin, end = total * number // hosts, total * (number + 1) // hosts
    extents, start = [], 0
    for count in counts:
        first, last = max(begin, start), min(end, start + count)
        extents.append((max(0, first - start), max(0, last - first)))
        start += count
    return extents


def _known(names, known, what, manifest):
    if isinstance(names, str):
        raise ValueError(f"Give a list of {what} names. Received: {names!r}.")
    unknown = [name for name in names if name not in known]
    if unknown or (what == "modality" and not names):
        raise DataError(
            f"no {what} {', '.join(unknown) or '(none given)'}. Known: {', '.join(known)}.", file=manifest.folder
        )
