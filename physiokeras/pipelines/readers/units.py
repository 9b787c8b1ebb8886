"""Physical units as headers spell them, and conversion between units of one quantity."""

import numpy as np

from physiokeras.errors import DataError

_PREFIXES = {"": 0, "m": -3, "u": -6, "n": -9}
_POWERS = {prefix + unit: (unit, power) for unit in ("V", "S") for prefix, power in _PREFIXES.items()}
"""Unit -> its quantity's own unit, and the power of ten of one in the other."""

_ALIASES = {"µV": "uV", "μV": "uV", "microvolt": "uV", "volt": "V", "percent": "%", "mv": "mV", "µS": "uS", "μS": "uS"}
_ALIASES |= dict.fromkeys(("uv", "UV", "uVolt", "microV", "microvolts"), "uV")
_ALIASES |= dict.fromkeys(("C", "°C", "DegC", "degreeC"), "degC")


def plain_name(unit):
    """The usual name of a unit, however a header spells it."""
    return _ALIASES.get(unit, unit)


def convert_unit(values, given, wanted):
    """Convert physical values in place.

    Args:
        values: float array.
        given: Unit in the record's header.
        wanted: Unit in the definition, or None for no conversion.

    Returns: `values`.

    Raises:
        DataError: The units measure different quantities.
    """
    given, wanted = plain_name(given), plain_name(wanted)
    if wanted is None or given == wanted:
        return values
    (quantity, power), (other, target) = (_POWERS.get(unit, (None, 0)) for unit in (given, wanted))
    if quantity and quantity == other:
        values *= np.asarray(10.0 ** (power - target), values.dtype)
        return values
    ways = "correct the header or the definition's `unit`; of arrays, give `units` to from_arrays"
    raise DataError(f"its unit is {given or 'unknown'!r}, but the definition expects {wanted!r}; {ways}.")
