"""Formats of exported models: how each is written, its files, and how its own runtime runs it."""

import contextlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from physiokeras.exporting.packages import check_format

# Each `_open` returns a function of the windows, a dict of arrays, that returns the output, an array. The runtimes use
# one thread where they can be told so: it is the number to compare on a device.


def _open_saved_model(path):
    import tensorflow as tf

    model = tf.saved_model.load(str(path))
    serve = model.signatures["serving_default"]

    def run(inputs):
        assert model  # holds the weights
        (output,) = serve(**{name: tf.constant(values) for name, values in inputs.items()}).values()
        return output.numpy()

    return run


def _open_onnx(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, inputs)[0]


def _open_litert(path):
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_path=str(path), num_threads=1).get_signature_runner()

    def run(inputs):
        (output,) = runner(**inputs).values()
        return output

    return run


def _open_openvino(path):
    import openvino

    # Where the CPU has bfloat16, OpenVINO computes in it unless told otherwise: differences of 0.01 were seen.
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    model = openvino.Core().compile_model(str(path), "CPU", options)
    return lambda inputs: model(inputs)[0]


def _open_torch(path):
    import torch

    program = torch.export.load(str(path)).module()

    def run(inputs):
        with torch.no_grad():
            (output,) = program([torch.as_tensor(values) for values in inputs.values()]).values()
        return output.numpy()

    return run


def _finish_onnx(path, output, free):
    """Replace an operation that ONNX lacks, and name the output and the batch."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(str(path))
    graph, nodes = model.graph, []
    graph.initializer.append(numpy_helper.from_array(np.float32(1), "exported/one"))
    for node in graph.node:
        if node.op_type == "Erfc":  # of GELU; tf2onnx 1.17 passes it on as it is
            found = f"{node.output[0]}/erf"
            nodes.append(helper.make_node("Erf", list(node.input), [found], f"{node.name}/erf"))
            node = helper.make_node("Sub", ["exported/one", found], list(node.output), node.name)
        nodes.append(node)
    if graph.output[0].name != output:
        nodes.append(helper.make_node("Identity", [graph.output[0].name], [output], "exported/output"))
        graph.output[0].name = output
    del graph.node[:]
    graph.node.extend(nodes)
    for value in (*graph.input, *graph.output) if free else ():
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def _finish_openvino(path, output, free):
    """Keep the one output, and name it; the converter lists inner values as outputs too."""
    import openvino

    model = openvino.Core().read_model(str(path))
    first = model.outputs[0]
    first.get_tensor().set_names({output})
    kept = openvino.Model([first.get_node()], model.get_parameters(), "exported")
    # A file that is mapped into memory cannot be written.
    openvino.serialize(kept, str(path.with_name("kept.xml")))
    del model, first, kept
    for suffix in (".xml", ".bin"):
        path.with_name(f"kept{suffix}").replace(path.with_suffix(suffix))


def _litert_operators(path):
    from ai_edge_litert import schema_py_generated as schema

    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    model = schema.Model.GetRootAsModel(path.read_bytes(), 0)
    codes = (model.OperatorCodes(place) for place in range(model.OperatorCodesLength()))
    # Old runtimes read the number from a field of one byte, which newer operators overflow.
    return sorted(names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())] for code in codes)


@dataclass(frozen=True)
class Format:
    """A format of exported models.

    Args:
        keras: Its name in `keras.Model.export`.
        file: Name of the file that a runtime opens, "." for the folder itself.
        open: Function of the file's path that returns a function of windows.
        finish: Function that corrects the file of the path, given the output's name and whether the batch is free.
        fourier: Whether its runtimes have the Fourier transform of any length.
        operators: Function of the file's path that returns the names of the operators that a runtime needs, or None.
    """

    keras: str
    file: str
    open: Callable
    finish: Callable | None = None
    fourier: bool = False
    operators: Callable | None = None


FORMATS = {
    "saved_model": Format("tf_saved_model", ".", _open_saved_model, fourier=True),
    "onnx": Format("onnx", "model.onnx", _open_onnx, _finish_onnx),
    "litert": Format("litert", "model.tflite", _open_litert, operators=_litert_operators),
    "openvino": Format("openvino", "model.xml", _open_openvino, _finish_openvino),
    "torch": Format("torch", "model.pt2", _open_torch, fourier=True),
}


def usable(name):
    """The format of a name, if the running backend and the installed packages can write and check it.

    Raises:
        ValueError: No such format, or another backend must write it.
        ImportError: A package is missing; the message says what to install.
    """
    check_format(name, keras.config.backend())
    return FORMATS[name]


def write(form, model, signature, path, free):
    """Write a model of `portable_model` to a path that the format's runtime opens.

    Args:
        form: `Format`.
        model: The model.
        signature: Its signature.
        path: The file; for a SavedModel the folder.
        free: Whether the batch is free.
    """
    options = {}
    if form.keras == "torch" and free:
        import torch

        batch = torch.export.Dim("batch")
        options["dynamic_shapes"] = [([{0: batch} for _ in signature[0]],)]
    with _fourier_by_products(model, not form.fourier), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.export(str(path), format=form.keras, input_signature=signature, verbose=False, **options)
    if form.finish:
        form.finish(path, next(iter(model.output)), free)


@contextlib.contextmanager
def _fourier_by_products(model, needed):
    spectra = model.get_layer("windows").extractor.patch_spectra()
    for layer in spectra:
        layer.by_products = needed
    try:
        yield
    finally:
        for layer in spectra:
            layer.by_products = False
