import keras
import numpy as np
import pytest
from contract import check_layer

from physiokeras import layers

DRAW = np.random.default_rng(0)
TOKENS = DRAW.normal(size=(6, 4, 8)).astype("float32")
CONTEXT = DRAW.normal(size=(6, 5, 8)).astype("float32")
VALID = np.arange(5)[None] < np.array([5, 4, 3, 2, 1, 0])[:, None]
PRESENT = np.array([[True, True], [True, False], [False, True], [True, True], [True, False], [False, False]])

CASES = {
    "tokenizer": ("PatchTokenizer", {"time": 4, "width": 8}, {"signal": DRAW.normal(size=(6, 16, 2)).astype("f4")}),
    "embedding": ("TokenEmbedding", {"modalities": 2, "time": 2}, {"tokens": TOKENS}),
    "block": (
        "TransformerBlock",
        {"width": 8, "heads": 2, "mlp_ratio": 2, "dropout": 0.25, "seed": 3},
        {"tokens": TOKENS, "valid": VALID[:, :4]},
    ),
    "cross block": (
        "TransformerBlock",
        {"width": 8, "heads": 2, "mlp_ratio": 2, "cross": True},
        {"tokens": TOKENS, "context": CONTEXT, "valid": VALID},
    ),
    "decoder": (
        "ModalityDecoder",
        {"time": 4, "patch": 3, "channels": 2, "width": 8, "depth": 1, "heads": 2, "seed": 3},
        {"context": CONTEXT, "when": np.tile([0, 3, 1, 1, 2], (6, 1)).astype("int32"), "valid": VALID},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_layer_keeps_the_contract(case, tmp_path):
    kind, arguments, inputs = CASES[case]
    check_layer(getattr(layers, kind), arguments, inputs, tmp_path)


@pytest.mark.parametrize("how", ["mean", "concatenate"])
def test_pooling_keeps_the_contract(how, tmp_path):
    inputs = {"tokens": TOKENS, "present": PRESENT}
    check_layer(layers.TokenPooling, {"time": 2, "how": how}, inputs, tmp_path, trains=False)


@pytest.mark.parametrize("scheme", ["uniform", "equal", "dirichlet", "block"])
def test_mask_keeps_the_contract(scheme, tmp_path):
    arguments = {
        "time": 4,
        "ratio": 0.5,
        "scheme": scheme,
        "alpha": 0.5,
        "span": 2,
        "budget": "proportional",
        "seed": 3,
    }
    inputs = {"present": PRESENT, "kept": PRESENT}
    check_layer(layers.TokenMask, arguments, inputs, tmp_path, training=True, trains=False)


@pytest.mark.parametrize("per", ["batch", "sample"])
def test_modality_dropout_keeps_the_contract(per, tmp_path):
    arguments = {"rate": 0.5, "count": 2, "per": per, "seed": 3}
    check_layer(layers.ModalityDropout, arguments, {"present": PRESENT}, tmp_path, training=True, trains=False)


def test_layers_compute_in_the_type_of_the_global_policy():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        pooled = layers.TokenPooling(2)(TOKENS, present=PRESENT)
        block = layers.TransformerBlock(8, 2)
    finally:
        keras.config.set_dtype_policy(before)
    assert keras.backend.standardize_dtype(pooled.dtype) == "float32"
    assert {part.compute_dtype for part in block._flatten_layers()} == {"bfloat16"}
