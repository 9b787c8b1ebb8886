"""What a comparison compares: strategies, which are settings laid over the run's, one entrant for each encoder."""

from dataclasses import dataclass, replace
from pathlib import Path

from physiokeras.experiments.settings import from_toml

UNIMODAL = "unimodal"
"""The strategy of which there is an encoder for each modality."""

TIME = "time_alone"
"""No encoder: a probe on the time since the recording began, which tells how much a protocol or a night gives away."""


@dataclass(frozen=True)
class Entrant:
    """One encoder of the comparison, whatever its seed.

    Args:
        name: Such as "input_dropout" or "unimodal_eeg".
        strategy: Name of its strategy.
        settings: The run's with the strategy's laid over them.
        modalities: Those that its encoder reads; empty for `TIME`.
    """

    name: str
    strategy: str
    settings: object
    modalities: tuple[str, ...]

    @property
    def is_unimodal(self):
        """Whether it is one of several encoders of a strategy."""
        return self.name != self.strategy


def entrants(settings, manifest):
    """The entrants of a run, in the order of its strategies.

    Args:
        settings: With `strategies`: names of shipped files or paths, and `TIME`.
        manifest: `Manifest`.

    Returns: list of `Entrant`.

    Raises:
        ValueError: A name twice, or a file with an unknown key.
        FileNotFoundError: No such file or shipped name.
    """
    found = []
    for strategy in settings.strategies:
        name = Path(strategy).stem
        own = settings if name == TIME else replace(settings, **from_toml(type(settings), strategy))
        modalities = tuple(own.modalities or manifest.defaults)
        if name == TIME:
            found.append(Entrant(name, name, own, ()))
        elif name == UNIMODAL:
            found += [Entrant(f"{name}_{m}", name, replace(own, modalities=(m,)), (m,)) for m in modalities]
        else:
            found.append(Entrant(name, name, own, modalities))
    names = [entrant.name for entrant in found]
    if len(set(names)) < len(names):
        raise ValueError(f"`strategies` must have different names. Received: {', '.join(names)}.")
    return found
