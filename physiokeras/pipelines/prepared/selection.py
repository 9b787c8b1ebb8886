"""The windows of a prepared folder that a stream reads: records, modalities, labels, and a host's share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from physiokeras.channel_layout import ChannelLayout
from physiokeras.errors import DataError
from physiokeras.pipelines.prepared.manifest import Manifest
from physiokeras.pipelines.prepared.remote import Remote

POSITIONS = ("record", "window")
"""Labels that every prepared folder has: number of the record, and number of the window within it."""


@dataclass(frozen=True)
class Selection:
    """The windows, modalities and labels that one host reads.

    Attributes:
        manifest: The folder's `Manifest`.
        records: The `Record`s of this host.
        extents: `(first, count)` for each record: this host's stored windows.
        modalities: Names, in the definition's order.
        labels: Names.
        total: Number of windows of all hosts.
        hosts: Number of hosts.
    """

    manifest: Manifest
    records: list
    extents: list
    modalities: tuple
    labels: tuple
    total: int
    hosts: int

    @classmethod
    def of(
        cls,
        folder: Any,
        split: str | Sequence[str] | None,
        records: Sequence[str] | None,
        modalities: Sequence[str] | None,
        labels: Sequence[str],
        host: tuple[int, int],
    ) -> Self:
        """Select by names, and check them.

        Raises:
            DataError: A name is unknown, or nothing is selected.
            ValueError: `host` is out of range.
        """
        manifest = Manifest.of(folder)
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
    def windows(self) -> int:
        """Number of windows of this host."""
        return sum(count for _, count in self.extents)

    @property
    def in_place(self) -> bool:
        """Whether TensorFlow reads the shards where they are, on a remote file system."""
        return isinstance(self.manifest.folder, Remote) and not self.manifest.folder.is_copied

    def steps(self, batch_size: int | None) -> int:
        """Full batches in a pass, the same for every host.

        Raises:
            DataError: There are fewer windows than one batch.
        """
        steps = self.total // self.hosts // checked_batch_size(batch_size)
        if not steps:
            raise DataError(
                f"{self.total} windows for {self.hosts} host(s) are fewer than one batch of {batch_size}; "
                "give a smaller batch size.",
                file=self.manifest.folder,
            )
        return steps

    @property
    def columns(self) -> list[int]:
        """Positions of the selected modalities' channels among all channels of the definition."""
        return ChannelLayout.of(self.manifest.modalities).positions(self.modalities)


def checked_batch_size(batch_size):
    """`batch_size`; refuse what is not a positive integer."""
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"`batch_size` must be an integer of at least 1. Received: batch_size={batch_size!r}.")
    return batch_size


def share(counts, number, hosts):
    """Divide the sequence of all windows into `hosts` even stretches; return each record's part of stretch `number`.

    Args:
        counts: Number of windows of each record.
        number: Number of the stretch, from 0.
        hosts: Number of stretches.

    Returns: `(first, count)` for each record; count 0 if the record is outside the stretch. The stretches cover all
        windows, do not overlap, and differ in length by at most one.
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
            f"There is no {what} {', '.join(unknown) or '(none given)'}. Known: {', '.join(known)}.",
            file=manifest.folder,
        )
