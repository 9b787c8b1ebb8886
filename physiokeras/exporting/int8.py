"""Quantization of exported models to 8 bits by the runtimes' own tools, calibrated on windows."""

import contextlib
import importlib.util
import io

# Band powers span many decades and their logarithms are taken: spectra, pooling and the probe stay in float32.
_PARTS = ("/tokenizer_", "/block_")
"""Scopes whose linear layers are quantized: weights per channel, activations per tensor."""

QUANTIZED = {"onnx": ("onnxruntime", "physiokeras[onnx]"), "litert": ("ai_edge_quantizer", "physiokeras[litert]")}
"""Format -> module that quantizes, and what to install."""


def quantizable(name):
    """Check that a format can be quantized here.

    Raises:
        ValueError: Another format.
        ImportError: A package is missing; the message says what to install.
    """
    if name not in QUANTIZED:
        raise ValueError(f"8 bits are for the formats {' and '.join(QUANTIZED)}. Received: {name!r}.")
    module, what = QUANTIZED[name]
    if importlib.util.find_spec(module) is None:
        raise ImportError(f"8 bits in {name} need {module}, which is not installed: pip install '{what}'")


def quantize(name, path, inputs, size):
    """Replace the file of an exported model by one with 8-bit linear layers.

    Args:
        name: Format.
        path: The file.
        inputs: Windows to calibrate on, as the model takes them.
        size: Windows of a batch.
    """
    count = len(inputs["present"]) // size * size
    batches = [{key: values[i : i + size] for key, values in inputs.items()} for i in range(0, count, size)]
    content = {"onnx": _onnx, "litert": _litert}[name](path, batches)
    path.write_bytes(content)


def _onnx(path, batches):
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Windows(CalibrationDataReader):
        def __init__(self):
            self.left = iter(batches)

        def get_next(self):
            return next(self.left, None)

    graph = onnx.load(str(path)).graph
    weights = {weight.name for weight in graph.initializer}
    chosen = [
        node.name
        for node in graph.node
        if node.op_type in ("MatMul", "Gemm") and node.input[1] in weights and any(part in node.name for part in _PARTS)
    ]
    if not chosen:
        raise RuntimeError(f"{path}: none of its layers is named as expected; export without 8 bits.")
    quantized = path.with_name("quantized.onnx")
    quantize_static(
        str(path),
        str(quantized),
        Windows(),
        nodes_to_quantize=chosen,
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt8,
    )
    content = quantized.read_bytes()
    quantized.unlink()
    return content


def _litert(path, batches):
    from ai_edge_quantizer import qtyping, quantizer, recipe

    tool = quantizer.Quantizer(path.read_bytes())
    config = recipe.static_wi8_ai8()[0]["op_config"]
    tool.update_quantization_recipe(
        regex=f".*({'|'.join(_PARTS)}).*",
        operation_name=qtyping.TFLOperationName.FULLY_CONNECTED,
        op_config=qtyping.OpQuantizationConfig.from_dict(config),
    )
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # bars of progress
        found = tool.calibrate({"serving_default": batches})
        return bytes(tool.quantize(found).quantized_model)
