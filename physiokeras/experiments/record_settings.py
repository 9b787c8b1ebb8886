"""Settings of a command in which a model reads a folder of recordings."""

from dataclasses import dataclass
from typing import Any

from physiokeras.experiments.settings import CommonSettings, setting


@dataclass(frozen=True)
class RecordSettings(CommonSettings):
    """Settings of the recordings, and of who reads them; see `physiokeras.scoring.sources.open_source`."""

    source: str = setting(
        help="folder of recordings, one recording, a folder that `prepare` wrote, or the URL of one of these",
        group="data",
        role="place",
        holds="readable",
    )
    dataset: str | None = setting(
        None, "definition of the recordings; none: the definition of the model's data", "data", "result",
        alias="definition",
    )  # fmt: skip
    workers: int = setting(
        1, "number of processes that read recordings while the model runs", "run", "execution", within="[1, inf)"
    )
    shard_index: int = setting(
        0, "number of this part of the records, from 0, on a cluster", "run", "execution", within="[0, inf)"
    )
    num_shards: int = setting(
        1, "number of parts into which the records are divided", "run", "execution", within="[1, inf)"
    )
    dask: str | None = setting(
        None, "address of a Dask scheduler, such as tcp://host:8786, whose workers read the recordings and run the "
        "model", "run", "execution",
    )  # fmt: skip
    figures: bool = setting(True, "draw a hypnogram for each record", "run", "result")

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.shard_index < self.num_shards:
            raise ValueError(
                f"shard_index must lie in [0, num_shards). Received: {self.shard_index} of {self.num_shards}."
            )

    def options(self) -> dict[str, Any]:
        """These settings as arguments of `score_folder` and `extract_folder`."""
        from physiokeras.pipelines import Definition, dask

        return {
            "definition": Definition.read(self.dataset) if self.dataset else None,
            "workers": self.workers,
            "shard_index": self.shard_index,
            "num_shards": self.num_shards,
            "figures": self.figures,
            "engine": dask.engine(self.dask) if self.dask is not None else None,
        }
