"""Strategies of a comparison: settings that override the run's, or features without an encoder."""

import difflib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from physiokeras import catalogue
from physiokeras.experiments import flags
from physiokeras.experiments.settings import from_toml

UNIMODAL = "unimodal"
"""Has an encoder for each modality, each a `Strategy` of its own."""

BAND_POWER = "band_power"
"""No encoder: probes on log band powers of the windows, the floor that an encoder has to beat."""

TIME = "time_alone"
"""No encoder: probes on the time since the recording began, which shows how much a protocol or a night gives away."""

WITHOUT_ENCODER = (BAND_POWER, TIME)


@dataclass(frozen=True)
class Strategy:
    """A strategy without its seed: one row of the tables, or one for each scaling of the features.

    Args:
        name: Such as "input_dropout" or "unimodal_eeg".
        family: The name by which it was chosen, such as "unimodal".
        settings: The run's, of `recipes.compare.Settings`, with the strategy's laid over them.
        modalities: Names of those that it reads; empty for `TIME`.
    """

    name: str
    family: str
    settings: Any
    modalities: tuple[str, ...]

    @property
    def is_unimodal(self) -> bool:
        """Whether it is one of the encoders of one modality."""
        return self.name != self.family

    @property
    def has_encoder(self) -> bool:
        """Whether an encoder makes its features."""
        return self.name not in WITHOUT_ENCODER

    def source(self, encoder: Any, manifest: Any) -> Any:
        """The source of the features that its probes read.

        Args:
            encoder: `Encoder`; None where it has none.
            manifest: `Manifest`.

        Returns: `EncoderFeatures`, `BandPowers` or `TimeAlone`.
        """
        from physiokeras.evaluation import band_power, extraction  # which import Keras; settings are read before

        if self.name == TIME:
            return extraction.TimeAlone(manifest)
        if self.name == BAND_POWER:
            return band_power.BandPowers(manifest, self.modalities)
        return extraction.EncoderFeatures(manifest, encoder, self.settings.pooling)


def check_names(chosen):
    """Refuse a name that is neither of a shipped file, nor of `WITHOUT_ENCODER`, nor the path of a TOML file.

    Raises:
        ValueError: Such a name; the message has the closest one.
    """
    known = [*catalogue.names("recipes"), *WITHOUT_ENCODER]
    for name in chosen:
        if name not in known and not name.endswith(".toml"):
            close = difflib.get_close_matches(name, known, 1)
            meant = f" Did you mean {close[0]}?" if close else ""
            raise ValueError(f"strategies must be shipped names or TOML files. Received: {name!r}.{meant}")


def overrides(settings):
    """Name of each chosen strategy of a run, and the run's settings with the strategy's laid over them.

    Raises:
        ValueError: A name twice, a file with an unknown key, or values that contradict the run's settings.
        FileNotFoundError: No such file or shipped name.
    """
    found = []
    for chosen in settings.strategies:
        name = Path(chosen).stem
        own = settings if name in WITHOUT_ENCODER else replace(settings, **from_toml(type(settings), chosen))
        found.append((name, own))
    _refuse_twice([name for name, _ in found])
    return found


def strategies_of(settings, manifest):
    """The strategies of a run, in the order in which they are asked for.

    Args:
        settings: With `strategies`: names of shipped files or paths, and those of `WITHOUT_ENCODER`.
        manifest: `Manifest`.

    Returns: list of `Strategy`.

    Raises:
        ValueError: A name twice, or a file with an unknown key.
        FileNotFoundError: No such file or shipped name.
    """
    found = []
    for name, own in overrides(settings):
        modalities = tuple(own.modalities or manifest.defaults)
        if name == TIME:
            found.append(Strategy(name, name, own, ()))
        elif name == UNIMODAL:
            found += [Strategy(f"{name}_{m}", name, replace(own, modalities=(m,)), (m,)) for m in modalities]
        else:
            found.append(Strategy(name, name, own, modalities))
    _refuse_twice([strategy.name for strategy in found])
    return found


def check_reference(settings, names):
    """Refuse a reference that is none of the strategies; the default one may be absent.

    Args:
        settings: With `reference`.
        names: Names of the strategies, with `UNIMODAL` before its modalities are known.

    Raises:
        ValueError: The message lists the names.
    """
    reference = settings.reference
    default = next(item.default for item in fields(settings) if item.name == "reference")
    if reference in (default, *names) or (UNIMODAL in names and reference.startswith(f"{UNIMODAL}_")):
        return
    raise ValueError(
        f"--reference must be one of the strategies: {', '.join(names)}. Received: {reference!r}."
        f"{flags.closest(reference, names)}"
    )


def _refuse_twice(names):
    if len(set(names)) < len(names):
        raise ValueError(f"`strategies` must have different names. Received: {', '.join(names)}.")
