"""Checks whether a saved encoder can read data of another definition, and restricts it to shared modalities."""

from physiokeras.errors import DataError
from physiokeras.pipelines import Manifest
from physiokeras.pipelines.prepared.joined import in_layout_of, other_scale


def encoder_for(encoder, data, own=None):
    """Restrict an encoder to the modalities that it shares with the data.

    Args:
        encoder: Encoder of the model.
        data: `Definition` or `Manifest` of the data.
        own: Definition that the model was trained on, as a dict; None: unknown.

    Returns: `Encoder`, see `Encoder.restricted`: the modalities in the data's order.

    Raises:
        DataError: Windows of another length, a shared modality of another rate, scale, number or order of channels, or
            no shared modality; the message says what to write in the definition.
    """
    return encoder.restricted(shared_modalities(encoder, data, own))


def laid_out(data, own):
    """Data in the layout of a model's own definition, where that has more channels, as that of several data sets has.

    Args:
        data: `Manifest`.
        own: Definition that the model was trained on, as a dict; None: unknown.

    Returns: `Manifest`, `data` itself where nothing differs; see `physiokeras.pipelines.prepared.joined.in_layout_of`.
    """
    return in_layout_of(data, own) if own else data


def shared_modalities(encoder, data, own=None):
    """Names of the modalities that an encoder shares with the data, in the data's order.

    Args:
        encoder: As in `encoder_for`.
        data: As in `encoder_for`.
        own: As in `encoder_for`.

    Raises:
        DataError: As `encoder_for`.
    """
    name, window, tokens, modalities = _read_by(data)
    expected = float(own["window"]) if own else window
    if (window, tokens) != (expected, encoder.time):
        raise DataError(
            f"the model reads windows of {expected:g} s in {encoder.time} patches, the definition {name!r} gives "
            f"{window:g} s in {tokens}. Write in it: window = {expected:g} and patch = {expected / encoder.time:g}, "
            "and prepare the data again."
        )
    shared = [modality for modality in modalities if modality in encoder.modalities]
    if not shared:
        raise DataError(
            f"the definition {name!r} has none of the model's modalities, {', '.join(encoder.modalities)}. "
            f"It has {', '.join(modalities)}: call what the model can read by the model's name, as in "
            f"[modalities.{next(iter(encoder.modalities))}], and prepare the data again."
        )
    for modality in shared:
        known = (own or {}).get("modalities", {}).get(modality) or {}
        names = [one if isinstance(one, str) else one["name"] for one in known.get("channels", ())]
        _check(encoder.modalities[modality], modalities[modality], modality, name, window, names)
        _check_values(known, modalities[modality], modality, name, names)
    return shared


def absent(encoder, data):
    """Names of the encoder's modalities that the data lack."""
    return [modality for modality in encoder.modalities if modality not in _read_by(data)[3]]


def _check(expected, received, modality, name, window, names):
    if expected["samples"] != received["samples"]:
        rate, own = expected["samples"] / window, received["samples"] / window
        write = f"rate = {rate:g} (with a `bandpass` below half of that)"
        advice = f"Write in its [modalities.{modality}]: {write}"
        if own < rate:
            advice = (
                f"Leave [modalities.{modality}] out where the recordings are sampled more slowly than that: the model "
                f"then takes it as absent. Otherwise write in it: {write}"
            )
        raise DataError(
            f"modality {modality!r}: the model reads {expected['samples']} samples a window ({rate:g} Hz), the "
            f"definition {name!r} gives {received['samples']} ({own:g} Hz). {advice}, and prepare the data again."
        )
    if expected["channels"] != received["channels"]:
        named, order = (f": {', '.join(names)}", "this") if names else ("", "the model's")
        raise DataError(
            f"modality {modality!r}: the model reads {expected['channels']} channels{named}; the definition {name!r} "
            f"gives {received['channels']}. List {expected['channels']} in `channels` of its [modalities.{modality}], "
            f"in {order} order; one that no recording has is read as absent."
        )


def _check_values(known, received, modality, name, names):
    """Refuse what has the model's shapes and other values: another scale, channels in another order."""
    found = other_scale(known, received["table"]) if known else None
    if found:
        key, expected, own = found
        raise DataError(
            f"modality {modality!r}: the model reads values of {key} {expected!r}, the definition {name!r} gives "
            f"{own!r}. Write {key} = {expected!r} in its [modalities.{modality}], and prepare the data again."
        )
    if any(one in names and names.index(one) != place for place, one in enumerate(received["names"])):
        raise DataError(
            f"modality {modality!r}: the model reads the channels {', '.join(names)}, the definition {name!r} gives "
            f"{', '.join(received['names'])}. List them in the model's order in its [modalities.{modality}], and "
            "prepare the data again."
        )


def _read_by(data):
    """Name of the definition, window in seconds, tokens, and dict of modality to its samples, channels and table."""
    if isinstance(data, Manifest):
        read, tables = {name: (m["samples"], m["channels"]) for name, m in data.modalities.items()}, data.definition
    else:
        read = {name: (data.samples(name), [one.name for one in m.channels]) for name, m in data.modalities.items()}
        tables = data.to_dict()
    sizes = {
        name: {"samples": samples, "channels": len(names), "names": names, "table": tables["modalities"][name]}
        for name, (samples, names) in read.items()
    }
    return tables["name"], float(tables["window"]), data.tokens, sizes
