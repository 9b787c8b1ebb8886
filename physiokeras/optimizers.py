"""The optimizer of the recipes."""

import keras


@keras.saving.register_keras_serializable("physiokeras")
class AdamW(keras.optimizers.AdamW):
    """`keras.optimizers.AdamW`, updated on PyTorch by its fused kernel, with one look at the learning rate a step.

    The values are the same, but that under a `tf.distribute` strategy a batch's gradient is clipped, not its parts. On
    CPUs Keras's sequence of operations takes five times as long as the one call. Keras works the learning rate out for
    each weight that decays, which on TensorFlow is a third of the time to trace a step.

    Args:
        **kwargs: As in `keras.optimizers.AdamW`.
    """

    _rate = None
    _tensors = None, ()

    def _backend_apply_gradients(self, grads, trainable_variables):
        self._rate = super()._get_current_learning_rate()
        try:
            super()._backend_apply_gradients(grads, trainable_variables)
        finally:
            self._rate = None

    def _get_current_learning_rate(self):
        return super()._get_current_learning_rate() if self._rate is None else self._rate

    def _clip_gradients(self, grads):
        parts = self._replicas()
        if parts is None:
            return super()._clip_gradients(grads)
        # Keras would clip what each replica found, and add it up afterwards, as is done with these equal parts.
        there = [grad for grad in grads if grad is not None]
        totals = iter(parts.all_reduce("SUM", there))
        clipped = super()._clip_gradients([None if grad is None else next(totals) for grad in grads])
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
                weight_decay=0.0,  # Keras applies it itself, to the weights that are not spared.
                # Keras adds epsilon before the correction of the second moment's bias, PyTorch after it.
                eps=self.epsilon / (1 - self.beta_2 ** (step + 1)) ** 0.5,
                maximize=False,
            )

    def _tensors_of(self, variables):
        """PyTorch's tensors of weights and moments, which Keras changes in place; to look them up takes a while."""
        key = *map(id, variables), id(variables[0].value)  # its value is another one where Keras computes statelessly
        if self._tensors[0] != key:
            places = [self._get_variable_index(variable) for variable in variables]
            columns = variables, *([kept[i] for i in places] for kept in (self._momentums, self._velocities))
            self._tensors = key, [[variable.value for variable in column] for column in columns]
        return self._tensors[1]
