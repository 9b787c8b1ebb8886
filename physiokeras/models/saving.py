"""Model folders: configuration, weights and provenance, without executable content."""

import collections
import contextlib
import hashlib
import json
import os
import re
from pathlib import Path

import keras
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from physiokeras.errors import DataError
from physiokeras.files import remove_temporaries, sha256, write_atomic
from physiokeras.keras_internals import sublayers
from physiokeras.layers.loss_constants import Constants
from physiokeras.models.autoencoder import MaskedAutoencoder
from physiokeras.models.contrastive import ContrastiveModel
from physiokeras.models.encoder import Encoder
from physiokeras.models.guards import check_sizes, no_weights_but
from physiokeras.models.probe import FeatureExtractor, LinearProbe

FORMAT = "physiokeras model 1"
_KINDS = {kind.__name__: kind for kind in (Encoder, FeatureExtractor, LinearProbe, MaskedAutoencoder, ContrastiveModel)}
_LARGEST_JSON = 4 * 2**20
_CONFIG, _WEIGHTS, _METADATA = "config.json", "weights.safetensors", "metadata.json"


def save(model: keras.Model, folder: str | os.PathLike, **metadata) -> None:
    """Write a model to a folder: `config.json`, `weights.safetensors`, `metadata.json`.

    Every backend reads folders of every other. `metadata.json` is written last: a folder without it holds no model.
    LoRA updates are merged into the kernels, as in Keras's own files. States of random draws are not saved: a training
    that continues from the folder draws its masks from the start. To resume one, use `Checkpoints` or a `.keras` file.

    Args:
        model: An `Encoder`, `MaskedAutoencoder`, `ContrastiveModel`, `FeatureExtractor` or `LinearProbe`.
        folder: The folder; created if missing, files of an earlier model are replaced.
        **metadata: Further facts, such as sampling rates or a data hash; JSON values.

    Raises:
        TypeError: A model of another class.
        ValueError: A quantized model.
    """
    kind = type(model).__name__
    if _KINDS.get(kind) is not type(model):
        raise TypeError(f"Models that can be saved here: {', '.join(_KINDS)}. Received: {kind}.")
    if any(getattr(layer, "quantization_mode", None) for _, layer in _layers(model)):
        raise ValueError(
            "A quantized model cannot be saved here: save it before `quantize`, and quantize after `load`."
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _METADATA).unlink(missing_ok=True)
    remove_temporaries(folder)
    config = json.dumps({"class": kind, "config": _plain(model.get_config())}, indent=1).encode()
    weights = safetensors.numpy.save(_merged_weights(model))
    write_atomic(folder / _CONFIG, config)
    write_atomic(folder / _WEIGHTS, weights)
    facts = {
        "format": FORMAT,
        "keras": keras.__version__,
        "backend": keras.config.backend(),
        "modalities": list(encoder_of(model).modalities),
        "sha256": {_CONFIG: _sha256(config), _WEIGHTS: _sha256(weights)},
        **metadata,
    }
    write_atomic(folder / _METADATA, json.dumps(facts, indent=1).encode())


def load(folder: str | os.PathLike) -> keras.Model:
    """Read a model that `save` wrote.

    Nothing in the files is executed, and no weight is created unless the file holds one of its shape, so that memory is
    bounded by the file's size.

    Args:
        folder: The model's folder.

    Returns: the model.

    Raises:
        DataError: The folder is no model folder or damaged, or the weights differ from the configuration; the message
            lists the differences.
    """
    folder = Path(folder)
    facts = metadata(folder)
    for name in (_CONFIG, _WEIGHTS):
        if not (folder / name).is_file():
            raise DataError("missing: the model folder is incomplete; save the model again.", file=folder / name)
        if facts["sha256"].get(name) != sha256(folder / name):
            raise DataError("its SHA-256 is not the one in metadata.json; save the model again.", file=folder / name)
    shapes = _stored_shapes(folder / _WEIGHTS)
    try:
        table = json.loads(_read_small(folder / _CONFIG))
        with no_weights_but(shapes):
            check_sizes(table["config"], shapes)
            model = _KINDS[table["class"]].from_config(table["config"])
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        message = f"does not describe one of {', '.join(_KINDS)}: {error!r}."
        raise DataError(message, file=folder / _CONFIG) from error
    load_weights(model, folder / _WEIGHTS)
    return model


def metadata(folder):
    """Read `metadata.json` of a model folder: a dict.

    Raises:
        DataError: The file is missing, damaged or of another format.
    """
    path = Path(folder) / _METADATA
    try:
        if not path.is_file():
            inner = Path(folder) / "model"
            better = f"its folder model, {inner}" if (inner / _METADATA).is_file() else "a folder that `save` wrote"
            raise DataError(f"no metadata.json; give {better}.", file=folder)
        facts = json.loads(_read_small(path))
    except DataError:
        raise
    except (ValueError, RecursionError) as error:
        raise DataError(f"not valid JSON ({error}); save the model again.", file=path) from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT or not isinstance(facts.get("sha256"), dict):
        raise DataError(f"not of the format {FORMAT!r}; save the model again.", file=path)
    return facts


def load_weights(model, path):
    """Load all weights from a file into a model, or none.

    Args:
        model: The model.
        path: The safetensors file.

    Raises:
        DataError: The file is damaged, or its names or shapes differ from the model's; the message lists them.
    """
    variables = named_weights(model)
    stored = _stored_shapes(path)
    differences = [
        f"{name}: {stored.get(name, 'missing')} in the file, "
        f"{tuple(variables[name].shape) if name in variables else 'not'} in the model"
        for name in sorted(stored.keys() | variables.keys())
        if name not in variables or stored.get(name) != tuple(variables[name].shape)
    ]
    if differences:
        shown = differences[:10] + [f"and {len(differences) - 10} more"] * (len(differences) > 10)
        message = f"the weights are of another architecture; nothing was loaded: {'; '.join(shown)}."
        raise DataError(message, file=path)
    with _opened(path) as file:
        for name, variable in variables.items():
            variable.assign(file.get_tensor(name))


def _stored_shapes(path):
    """Dict of name to shape, from the file's header; safetensors checks it against the file's size."""
    with _opened(path) as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


@contextlib.contextmanager
def _opened(path):
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except SafetensorError as error:
        raise DataError(f"not a safetensors file, or damaged ({error}); save the model again.", file=path) from error


def _read_small(path):
    size = path.stat().st_size
    if size > _LARGEST_JSON:
        raise DataError(f"{size} bytes, more than any model's; save the model again.", file=path)
    return path.read_bytes()


def named_weights(model):
    """Dict of name to variable. A name is the path below the model, the same on every backend."""
    return _named(model, model.weights)


def named_variables(model):
    """As `named_weights`, plus the states of the seed generators; without `Constants` and `SameSeed`s."""
    layers = [layer for _, layer in _layers(model)]
    left_out = {id(layer.values) for layer in layers if isinstance(layer, Constants)}
    left_out |= {id(seed.state) for layer in layers for seed in getattr(layer, "same_seeds", ())}
    return _named(model, [variable for variable in model.variables if id(variable) not in left_out])


def _named(model, chosen):
    names, variables = {}, {}
    for path, layer in _layers(model):
        below = {id(variable) for child in sublayers(layer) for variable in child.variables}
        weights, seeds = {id(weight) for weight in layer.weights}, 0
        own = [variable for variable in layer.variables if id(variable) not in below]
        for variable, name in zip(own, own_names((v.name, "variable") for v in own), strict=True):
            if id(variable) not in weights:
                name, seeds = f"seed_{seeds}", seeds + 1
            names[id(variable)] = "/".join([*path, name])
    for variable in chosen:
        name = names[id(variable)]
        if name in variables:
            raise ValueError(f"Two weights share the name {name!r}; give the sublayers names of their own.")
        variables[name] = variable
    return variables


def own_names(parts):
    """Names of the parts of one layer that do not depend on what else the process has created.

    Keras names a part without a name after its class, and counts over the whole process: `dense`, `dense_1`. Here such
    parts are counted within their layer.

    Args:
        parts: Pairs of name and class name.

    Returns: list of names.
    """
    counts, names = collections.Counter(), []
    for name, kind in parts:
        stem = re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", kind)).lower()
        if re.fullmatch(rf"{re.escape(stem)}(_\d+)?", name):
            name = f"{stem}_{counts[stem]}" if counts[stem] else stem
            counts[stem] += 1
        names.append(name)
    return names


def _layers(layer, path=()):
    """Pairs of path, a tuple of names, and layer: the layer itself, and all below it."""
    yield path, layer
    children = sublayers(layer)
    names = own_names((child.name, type(child).__name__) for child in children)
    for child, name in zip(children, names, strict=True):
        yield from _layers(child, (*path, name))


def _merged_weights(model):
    """Dict of name to array, with the updates of LoRA merged into the kernels."""
    arrays = {name: array_of(variable) for name, variable in named_weights(model).items()}
    for path, layer in _layers(model):
        if getattr(layer, "lora_enabled", False):
            arrays["/".join([*path, "kernel"])] = array_of(layer.kernel)
            for name in ("lora_kernel_a", "lora_kernel_b"):
                del arrays["/".join([*path, name])]
    return arrays


def digest(model: keras.Model) -> str:
    """SHA-256 of a model's weights, which identifies the encoder that a probe was fitted on.

    Args:
        model: The model. The names of its weights count, its own name does not.

    Returns: 64 hexadecimal digits.
    """
    total = hashlib.sha256()
    for name, array in sorted(_merged_weights(model).items()):
        total.update(name.encode())
        total.update(array.tobytes())
    return total.hexdigest()


def array_of(variable):
    """The value of a variable or tensor, a contiguous array."""
    # Under a `tf.distribute` strategy a variable has several copies, which `convert_to_tensor` reads as one.
    array = keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(variable))
    return array if array.flags["C_CONTIGUOUS"] else array.copy()


def encoder_of(model: keras.Model) -> Encoder:
    """The encoder of any model of this package.

    Args:
        model: A model with an `encoder`, or an `Encoder`.

    Returns: `Encoder`.
    """
    return model if isinstance(model, Encoder) else model.encoder


def _plain(config):
    """A configuration as plain JSON: dtype policies by name."""
    if isinstance(config, dict):
        if config.get("class_name", "").endswith("DTypePolicy") and "config" in config:
            return config["config"]["name"]
        return {key: _plain(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [_plain(value) for value in config]
    return config


def _sha256(data):
    return hashlib.sha256(data).hexdigest()
