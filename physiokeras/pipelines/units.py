"""Physical units as headers spell them, and conversion between units of one quantity."""

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
        given: Unit in the record's header.
        wanted: Unit in the definition, or None for no conversion.

    Returns: `values`.

    Raises:
        DataError: The units measure different quantities.
    """
    given, wanted = _ALIASES.get(given, given), _ALIASES.get(wanted, wanted)
    if wanted is None or given == wanted:
        return values
    if given in _VOLTS and wanted in _VOLTS:
        values *= np.asarray(10.0 ** (_VOLTS[given] - _VOLTS[wanted]), values.dtype)
        return values
    raise DataError(
        f"its unit is {given!r}, but the definition expects {wanted!r}; correct the header or the definition's `unit`."
    )
