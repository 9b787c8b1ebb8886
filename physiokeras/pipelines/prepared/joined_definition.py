"""The definition of several data sets: what a model of them needs to read a recording of any of them."""

from physiokeras.errors import DataError
from physiokeras.pipelines.definitions.definition import Definition

SEPARATOR = " + "
"""Between the data sets' names in the name of the joined definition."""


def joined_definition(parts, modalities):
    """Union of the definitions of prepared folders, as a dict.

    A modality is filtered as the first folder that has it says. Splits and names of people are left out: they are each
    folder's own.

    Args:
        parts: `Manifest`s.
        modalities: Union of their modalities, as `Manifest.modalities`.

    Raises:
        DataError: The union breaks a rule of definitions.
    """
    tables = [part.definition for part in parts]
    first = tables[0]
    labels = {name: label for table in reversed(tables) for name, label in table.get("labels", {}).items()}
    merged = {
        "name": SEPARATOR.join(dict.fromkeys(table["name"] for table in tables)),
        "modalities": {name: _modality(name, tables, m) for name, m in modalities.items()},
        "window": first["window"],
        "patch": first["patch"],
        "records": first["records"],
        "labels": {name: labels[name] for table in tables for name in table.get("labels", {})},
    }
    for key in ("people", "grid"):
        merged[key] = next((table[key] for table in tables if table.get(key)), None)
    for key in ("alias", "montage"):
        found = [(name, value) for table in reversed(tables) for name, value in (table.get(key) or {}).items()]
        merged[key] = dict(found) or None
    try:
        return Definition.from_dict(merged).to_dict()
    except DataError as error:
        where = " and ".join(str(part.folder) for part in parts)
        raise DataError(f"their definitions cannot be joined: {error}", file=where) from error


def _modality(name, tables, joined):
    """The first table of a modality, with the joined channels, none of which is required."""
    own = [table["modalities"][name] for table in tables if name in table["modalities"]]
    channels = {}
    for channel in (channel for table in own for channel in table["channels"]):
        known = channels.setdefault(channel["name"], {"name": channel["name"], "alias": [], "required": False})
        known["alias"] += [text for text in channel.get("alias", ()) if text not in known["alias"]]
    return {**own[0], "default": joined["default"], "channels": [channels[name] for name in joined["channels"]]}
