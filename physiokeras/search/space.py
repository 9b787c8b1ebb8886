"""The settings that a search varies, with ranges or lists of values."""

from dataclasses import dataclass
from typing import Any, Self, get_origin

from physiokeras.experiments.flags import closest
from physiokeras.experiments.settings import of_role
from physiokeras.experiments.training_settings import TrainingSettings
from physiokeras.tables import choices, hints, without_none


@dataclass(frozen=True)
class Dimension:
    """A setting that a search varies.

    Args:
        name: Name of the setting.
        kind: Its type.
        values: Values to choose from; () for a range.
        low: Least value of a range.
        high: Greatest value of a range.
        step: Distance between values of a range; None: any value.
    """

    name: str
    kind: type
    values: tuple = ()
    low: float | None = None
    high: float | None = None
    step: float | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a text such as `drop_rate=0:1`, `mask_ratio=0.5:0.9:0.1` or `drop_from=input,output`.

        Raises:
            ValueError: The setting does not exist, or its values cannot be searched; the message gives the syntax.
        """
        name, _, rest = text.partition("=")
        types = {key: without_none(hints(TrainingSettings)[key])[0] for key in of_role(TrainingSettings, "training")}
        several = [key for key, kind in types.items() if get_origin(kind) is tuple]
        types = {key: kind for key, kind in types.items() if choices(kind) or kind in (int, float, bool)}
        name = name.strip().replace("-", "_")
        if name in several:
            raise ValueError(
                f"A search cannot vary `{name}`: it holds several values. In a script, KerasTuner can search each of "
                "them."
            )
        if name not in types:
            raise ValueError(f"A search cannot vary `{name}`.{closest(name, types)}")
        allowed = choices(types[name])
        kind = type(allowed[0]) if allowed else types[name]
        try:
            if ":" in rest and kind in (int, float):
                low, high, *step = (kind(part) for part in rest.split(":"))
                if not low < high or len(step) > 1:
                    raise ValueError
                return cls(name, kind, (), low, high, *step)
            values = tuple(_BOOLEANS[part.lower()] if kind is bool else kind(part) for part in rest.split(","))
            if allowed and not set(values) <= set(allowed):
                raise ValueError
            return cls(name, kind, tuple(sorted(values)) if kind in (int, float) else values)
        except (ValueError, KeyError, TypeError):
            raise ValueError(
                f"{text!r} cannot be searched. Write a range as {name}=LOW:HIGH or {name}=LOW:HIGH:STEP (numbers), or "
                f"values as {name}=A,B{' among ' + ', '.join(map(str, allowed)) if allowed else ''}."
            ) from None

    def declare(self, hyperparameters: Any) -> Any:
        """Add the setting to `keras_tuner.HyperParameters`."""
        if self.values:
            return hyperparameters.Choice(self.name, list(self.values))
        add = hyperparameters.Int if self.kind is int else hyperparameters.Float
        return add(self.name, self.low, self.high, step=self.step)


_BOOLEANS = {"true": True, "on": True, "false": False, "off": False}
