"""Models that compute their own loss."""

import keras
import numpy as np


class OwnLoss:
    """Mixin of a `keras.Model` whose `compute_loss` is its own and looks at no labels.

    `compile` refuses what that loss would not look at; `sample_weight` reaches it, which Keras drops where no labels
    are given.
    """

    def compile(
        self, optimizer="rmsprop", loss=None, loss_weights=None, metrics=None, weighted_metrics=None, **options
    ):
        """As in Keras, without losses and metrics.

        Args:
            optimizer: The optimizer.
            loss: None, as the next three.
            loss_weights: None.
            metrics: None.
            weighted_metrics: None.
            **options: As in Keras.

        Raises:
            ValueError: A loss or metrics are given.
        """
        given = {"loss": loss, "loss_weights": loss_weights, "metrics": metrics, "weighted_metrics": weighted_metrics}
        given = [name for name, value in given.items() if value is not None]
        if given:
            raise ValueError(
                f"{type(self).__name__} has a loss and metrics of its own. Leave out {', '.join(given)}, or override "
                "`compute_loss` in a subclass."
            )
        super().compile(optimizer, **options)

    def fit(self, x=None, y=None, *arguments, **options):
        """As in Keras; `y` is not needed for `sample_weight`.

        Raises:
            ValueError: `class_weight` is given for arrays without `y`.
        """
        if options.get("class_weight") is not None and y is None and isinstance(x, dict):
            raise ValueError("`class_weight` needs the windows' classes as `y`. Give them, or `sample_weight`.")
        valid = options.get("validation_data")
        if isinstance(valid, tuple) and len(valid) == 3:
            options["validation_data"] = (valid[0], _labels(valid[1], valid[2]), valid[2])
        return super().fit(x, _labels(y, options.get("sample_weight")), *arguments, **options)

    def evaluate(self, x=None, y=None, *arguments, **options):
        """As in Keras; `y` is not needed for `sample_weight`."""
        return super().evaluate(x, _labels(y, options.get("sample_weight")), *arguments, **options)

    def compile_from_config(self, config):  # noqa: D102
        # Keras does this itself only where `compile` is its own.
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)


def _labels(labels, weights):
    """Labels that nobody looks at, where there are weights and no labels."""
    return np.zeros(len(weights), "int32") if labels is None and weights is not None else labels
