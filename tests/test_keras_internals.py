"""What the package assumes of Keras's names that are not public."""

import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from tiny import MODALITIES, encoder

import physiokeras
from physiokeras import keras_internals

PRIVATE = re.compile(
    r"(?<![\w.])(?!self\._|cls\._)[\w\])]+(?:\(\))?\._(?!_|replace\b|exit\b)[a-z]\w*|jax_state_sync|keras\.src"
)
"""`_replace` is a public method of named tuples, `os._exit` a public function."""

BACKEND = keras.config.backend()


@pytest.mark.once
def test_private_names_of_keras_are_touched_in_one_module_only():
    folder, found = Path(physiokeras.__file__).parent, set()
    for path in folder.rglob("*.py"):
        if "pipelines" not in path.parts and PRIVATE.search(path.read_text()):
            found.add(path.relative_to(folder).as_posix())
    assert found == {"keras_internals.py"}


OF_OTHER_BACKENDS = {"_maybe_symbolic_build", "_distribute_strategy"}
"""Private names of models on TensorFlow alone."""


@pytest.mark.once
def test_subclasses_of_keras_use_its_private_names_in_one_module_only():
    model = linear()
    model.optimizer.build(model.trainable_variables)
    things = [model, model.layers[0], model.optimizer, keras.optimizers.AdamW(), keras.callbacks.Callback()]
    private = {name for thing in things for name in dir(thing) if re.match("_[a-z]", name)} | OF_OTHER_BACKENDS
    folder, found = Path(physiokeras.__file__).parent, set()
    for path in folder.rglob("*.py"):
        text = path.read_text()
        used = set(re.findall(r"(?:self|cls|super\(\))\.(_[a-z]\w*)|def (_[a-z]\w*)\((?:self|cls)\b", text))
        if (
            re.search(r"^(?:import|from) keras\b", text, re.MULTILINE)
            and {name for pair in used for name in pair} & private
        ):
            found.add(path.relative_to(folder).as_posix())
    assert found == {"keras_internals.py"}


def test_sublayers_are_the_direct_ones_in_order():
    block = encoder(depth=1, dropout=0.1).blocks[0]
    names = ["norm_attention", "query_key_value", "mix", "norm_mlp", "up", "down", "drop_attention", "drop_mlp"]
    assert [layer.name for layer in keras_internals.sublayers(block)] == names
    assert keras_internals.sublayers(block.mix) == []


def linear(**arguments):
    """A compiled model of one weight, 0, which moves by 1 at each update of `noted`'s training."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(1.0, **arguments), loss=lambda y, prediction: -prediction)
    return model


def noted(model, note, rows=3):
    """What `note` gives after each step of training on rows of one."""
    notes = []
    callback = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: notes.append(note(model)))
    model.fit(np.ones((rows, 1)), np.ones((rows, 1)), batch_size=1, verbose=0, callbacks=[callback])
    return notes


def test_steps_are_counted_where_gradients_accumulate():
    model = linear(gradient_accumulation_steps=2)
    noted(model, lambda model: None)
    assert keras_internals.steps_done(model.optimizer) == 3
    assert int(keras.ops.convert_to_numpy(model.optimizer.iterations)) == 1


UNDER_A_STRATEGY = """
import keras, numpy as np, tensorflow as tf
from physiokeras.keras_internals import BuiltFromShapes, replicas
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
for kind in keras.Model, BuiltFromShapes:
    class Line(kind):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
        def call(self, inputs):
            return self.dense(keras.ops.where(inputs["present"], inputs["x"], 0.0))
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        model = Line()
        model.compile(keras.optimizers.SGD(1.0), loss=lambda y, prediction: -prediction, jit_compile=False)
    batches = (({"x": np.full((2, 1), i, "f4"), "present": np.ones((2, 1), bool)}, np.ones((2, 1))) for i in range(1, 9))
    try:
        model.fit(batches, steps_per_epoch=1, verbose=0)
        print(replicas(model), model.get_weights()[0][0, 0])
    except Exception as error:
        print(type(error).__name__)
"""  # noqa: E501


@pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.distribute")
def test_a_model_under_a_strategy_takes_booleans_and_its_first_batch():
    done = subprocess.run([sys.executable, "-c", UNDER_A_STRATEGY], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    keras_alone, ours = done.stdout.splitlines()
    # The gradient of a step is its batch.
    assert ours == "2 1.0"
    assert keras_alone != ours, "Keras can do it alone: `BuiltFromShapes` can go"


def test_models_have_one_replica_without_a_strategy():
    assert keras_internals.replicas(encoder({"ecg": MODALITIES["ecg"]})) == 1
