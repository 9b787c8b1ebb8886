"""Settings of a training on several machines."""

from dataclasses import dataclass

from physiokeras.experiments import launchers
from physiokeras.experiments.settings import CommonSettings, setting


@dataclass(frozen=True)
class HostSettings(CommonSettings):
    """Settings of a training on several hosts, beside `TrainingSettings`; see `physiokeras.experiments.hosts`."""

    hosts: int = setting(
        help="number of machines (processes) that share each batch, on JAX; each runs this command; the environment "
        "of Slurm's srun, torchrun or JAX sets the default",
        group="training", role="training", factory=launchers.processes, within="[1, inf)",
    )  # fmt: skip
    host_index: int | None = setting(
        None, "number of this machine, from 0; none: as the environment of srun, torchrun or JAX says",
        "training", "invocation",
    )  # fmt: skip
    coordinator: str | None = setting(
        None, "HOST:PORT of machine 0, any free port; none: as the environment of srun, torchrun or JAX says",
        "training", "invocation",
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        if self.hosts == 1:
            return
        if self.backend != "jax":
            why = {
                "torch": "Keras on torch trains in one process",
                "tensorflow": "TensorFlow's multi-worker strategy is reported not to work under Keras 3",
            }[self.backend]
            found = launchers.launched()
            by = f", by the environment of {found.launcher}" if found and found.count == self.hosts else ""
            message = (
                f"hosts needs backend jax: {why}. Received: {self.hosts} hosts{by}; --hosts 1 trains without others."
            )
            raise ValueError(message)
        if getattr(self, "model_parallel", 1) > 1:
            raise ValueError("model_parallel needs hosts 1: the weights of one model are split on one machine only.")
        if self.data is None:
            raise ValueError("hosts needs data: a folder that `prepare` wrote, which every host can read.")
        if self.batch_size % (self.hosts * self.devices):
            raise ValueError(
                "batch_size, the windows of a step on all hosts, must divide by hosts times devices. "
                f"Received: {self.batch_size}, {self.hosts} hosts, {self.devices} devices each."
            )
