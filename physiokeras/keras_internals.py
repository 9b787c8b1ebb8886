"""All private names of Keras that this package uses, each with its reason.

`tests/test_keras_internals.py` fails for each that Keras changes.
"""

import keras


def sublayers(layer):
    """The direct sublayers of a layer, in the order of their creation.

    `keras.Model.layers` is public, `Layer` has no such list; without one, weights cannot be named by their place.
    """
    return layer._flatten_layers(include_self=False, recursive=False)


def steps_done(optimizer):
    """Number of batches that an optimizer was given, an integer.

    The public `iterations` counts updates, of which there are fewer where gradients are accumulated. A
    `LossScaleOptimizer` counts no batches itself; the optimizer inside it does.
    """
    counting = getattr(optimizer, "inner_optimizer", optimizer)
    return int(keras.ops.convert_to_numpy(counting._iterations))


class BuiltFromShapes(keras.Model):
    """A `keras.Model` that a `tf.distribute` strategy builds from the data's shapes.

    Keras takes the first batch of the data for it, so that training begins with the second, and averages that batch
    over replicas, which fails for booleans such as `present`.
    """

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        if iterator is not None and self._distribute_strategy is not None:
            iterator, data_batch = None, iterator.data_adapter.get_tf_dataset().element_spec
        super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)


def replicas(model):
    """Number of replicas that train a model."""
    strategy = getattr(model, "distribute_strategy", None)  # public, on TensorFlow only
    return 1 if strategy is None else strategy.num_replicas_in_sync


class AdamWSteps(keras.optimizers.AdamW):
    """`keras.optimizers.AdamW` with another update on PyTorch, and another clipping under `tf.distribute`.

    On CPUs PyTorch's fused kernel, one call, updates the paper's network five times faster than Keras's sequence of
    operations. Under a strategy Keras clips the gradient of each replica's part of the batch before it adds them up;
    here the whole batch's gradient is clipped, so that the number of devices does not change the training.
    Keras computes the rate anew for each weight that decays; here each step computes it once.
    """

    _tensors = None, ()
    _rate = None

    def apply(self, grads, trainable_variables=None):  # noqa: D102
        self._rate = keras.ops.convert_to_tensor(self.learning_rate)
        try:
            super().apply(grads, trainable_variables)
        finally:
            self._rate = None

    def _get_current_learning_rate(self):
        return super()._get_current_learning_rate() if self._rate is None else self._rate

    def _clip_gradients(self, grads):
        parts = self._replicas()
        if parts is None:
            return super()._clip_gradients(grads)
        there = [grad for grad in grads if grad is not None]
        totals = iter(parts.all_reduce("SUM", there))
        clipped = super()._clip_gradients([None if grad is None else next(totals) for grad in grads])
        # Keras adds up what the replicas return.
        return [None if grad is None else grad / parts.num_replicas_in_sync for grad in clipped]

    def _replicas(self):
        if keras.config.backend() != "tensorflow" or not (self.clipnorm or self.global_clipnorm or self.clipvalue):
            return None
        import tensorflow

        context = tensorflow.distribute.get_replica_context()
        return context if context and context.num_replicas_in_sync > 1 else None

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        if keras.config.backend() != "torch" or self.amsgrad:
            return super()._backend_update_step(grads, trainable_variables, learning_rate)
        import torch
        from torch.optim.adamw import adamw

        step = float(self.iterations)
        values, momentums, velocities = self._tensors_of(trainable_variables)
        with torch.no_grad():
            adamw(
                values,
                list(grads),
                momentums,
                velocities,
                [],
                list(torch.full((len(values),), step, device=values[0].device).unbind()),
                fused=True,
                amsgrad=False,
                beta1=self.beta_1,
                beta2=self.beta_2,
                lr=float(learning_rate),
                weight_decay=0.0,  # Keras applies it itself, to the weights that are not excluded.
                # Keras adds epsilon before the correction of the second moment's bias, PyTorch after it.
                eps=self.epsilon / (1 - self.beta_2 ** (step + 1)) ** 0.5,
                maximize=False,
            )

    def _tensors_of(self, variables):
        """PyTorch's tensors of weights and moments, which Keras changes in place; the look-up is kept between steps."""
        key = *map(id, variables), id(variables[0].value)  # its value is another one where Keras computes statelessly
        if self._tensors[0] != key:
            places = [self._get_variable_index(variable) for variable in variables]
            columns = variables, *([kept[i] for i in places] for kept in (self._momentums, self._velocities))
            self._tensors = key, [[variable.value for variable in column] for column in columns]
        return self._tensors[1]
