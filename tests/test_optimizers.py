import keras
import numpy as np

from physiokeras.optimizers import AdamW


def trained(kind):
    """Weights and moments after ten steps of descent with decay, clipping and a schedule."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(7, "tanh"), keras.layers.Dense(2)])
    rate = keras.optimizers.schedules.CosineDecay(0.0, 8, warmup_target=0.05, warmup_steps=2)
    optimizer = kind(rate, weight_decay=0.1, beta_2=0.9, global_clipnorm=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model.compile(optimizer, "mse")
    draw = np.random.default_rng(0)
    model.fit(draw.normal(size=(40, 5)), 1e-3 * draw.normal(size=(40, 2)), batch_size=8, epochs=2, verbose=0)
    return [keras.ops.convert_to_numpy(v) for v in (*model.trainable_variables, *optimizer.variables)]


def test_ten_steps_equal_those_of_keras():
    ours, theirs = trained(AdamW), trained(keras.optimizers.AdamW)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-7)


def accumulated(steps, updates=4):
    """Weights after some updates, each on 12 rows that come in several steps."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="dense")])
    model.compile(AdamW(0.1, weight_decay=0.1, global_clipnorm=0.5, gradient_accumulation_steps=steps), "mse")
    draw = np.random.default_rng(1)
    x, y = draw.normal(size=(12 * updates, 3)), draw.normal(size=(12 * updates, 2))
    model.fit(x, y, batch_size=12 // (steps or 1), shuffle=False, verbose=0)
    return np.concatenate([weight.ravel() for weight in model.get_weights()])


def test_steps_that_accumulate_equal_one_of_the_whole_batch():
    np.testing.assert_allclose(accumulated(3), accumulated(None), atol=1e-5)
    assert np.abs(accumulated(3, updates=3) - accumulated(3)).max() > 0.01


def test_a_step_computes_the_rate_once_and_the_next_one_anew():
    read = []

    class Noting(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            read.append(int(step))
            return 0.1

    optimizer, weights = AdamW(Noting(), weight_decay=0.1), [keras.Variable([1.0]) for _ in range(3)]
    for _ in range(2):
        optimizer.apply([keras.ops.ones(1)] * 3, weights)
    assert read == [0, 1]
    assert optimizer.learning_rate == 0.1
    assert read == [0, 1, 2]


def test_its_settings_survive_saving():
    config = keras.saving.serialize_keras_object(AdamW(1e-3, weight_decay=0.02))
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is AdamW
    assert (again.weight_decay, float(again.learning_rate)) == (0.02, np.float32(1e-3))
