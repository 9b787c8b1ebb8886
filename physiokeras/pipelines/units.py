"""Physical units as headers write them, and conversion between those of one kind."""

import numpy as np

from physiokeras.errors import DataError

_VOLTS = {"V": 0, "mV": -3, "uV": -6, "nV": -9}
_ALIASES = {"µV": "uV", "μV": "uV", "microvolt": "uV", "volt": "V", "percent": "%", "mv": "mV"}
_ALIASES |= dict.fromkeys(("uv", "UV", "uVolt", "microV", "microvolts"), "uV")
_ALIASES |= dict.fromkeys(("C", "°C", "DegC", "degreeC"), "degC")


def convert_unit(values, given, wanted):
    """Convert physical values in place.

    Args:
        values: float array.
        given: Unit of the record's header.
        wanted: Unit of the definition, or None for the values as they are.

    Returns: `values`.

    Raises:
        DataError: The two units measure different things.
    """
    given, wanted = _ALIASES.get(given, given), _ALIASES.get(wanted, wanted)
    if wanted is None or given == wanted:
        return values
    if given in _VOLTS and wanted in _VOLTS:
        values *= np.asarray(10.0 ** (_VOLTS[given] - _VOLTS[wanted]), values.dtype)
        return values
    raise DataError(
        f"its unit is {given!r}, the definition wants {wanted!r}; correct the header or the definition's `unit`."
    )
