"""Models whose spectra learn their statistics from training windows."""

import itertools
from typing import Any

from keras import ops

from physiokeras.constants import Tensor
from physiokeras.layers import PatchSpectrum
from physiokeras.models.array_checks import check_classes, check_windows
from physiokeras.models.replicas import ReplicatedModel


class SpectralModel(ReplicatedModel):
    """A model with an `encoder`, or an encoder, that needs `adapt` where it has spectra."""

    def patch_spectra(self) -> list[PatchSpectrum]:
        """List of the model's `PatchSpectrum` layers, one for each modality; empty where it has none."""
        return self.encoder.patch_spectra()

    def measure(self, signals: dict[str, Tensor], present: Tensor) -> dict[str, Tensor]:
        """The spectra of windows, from what the encoder's `read` returns.

        Returns: dict of name -> float32 `(batch, time, numbers)`, zeros where absent; empty without spectra.
        """
        encoder: Any = getattr(self, "encoder", self)
        return {
            name: layer(signals[name], present=present[:, columns])
            for layer, (name, columns) in zip(self.patch_spectra(), encoder.layout.columns.items(), strict=False)
        }

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the statistics of all spectra in one pass; without spectra nothing is read.

        Args:
            data: Training windows: a dict of arrays as in the call of `Encoder`; or an iterable of batches, each such a
                dict or a tuple that begins with one, such as a stream. The numbers of all windows are kept in memory
                meanwhile: 4 bytes for each number of each patch.
            steps: Number of batches to read; default: all of them.

        Raises:
            ValueError: No window at all, or one with a value that is not finite.
        """
        layers = self.patch_spectra()
        if not layers:
            return
        encoder: Any = getattr(self, "encoder", self)
        for batch in itertools.islice([data] if isinstance(data, dict) else data, steps):
            signals, present = encoder.read(batch[0] if isinstance(batch, tuple | list) else batch)
            for layer, (name, columns) in zip(layers, encoder.layout.columns.items(), strict=True):
                layer.update_state(signals[name], present[:, columns])
        for layer in layers:
            layer.finalize_state()

    def _require_statistics(self):
        lacking = [layer.name for layer in self.patch_spectra() if not layer.adapted]
        if lacking:
            raise ValueError(
                f"{', '.join(lacking)}: the spectra lack their statistics. Call `adapt` with training windows first, "
                "such as model.adapt(stream(folder, 'train', batch_size=64))."
            )

    def fit(self, x=None, y=None, *arguments, **options):
        """As in Keras.

        Warns where arrays hold NaN or infinity in present channels, or no present channel at all.

        Raises:
            ValueError: Arrays of different numbers of windows, or texts as labels.
        """
        check_windows(getattr(self, "encoder", self), x)
        if isinstance(x, dict):
            check_classes(y)
        return super().fit(x, y, *arguments, **options)

    # Keras's `fit`, `evaluate`, `predict` and their like on batches begin with one of these.

    def make_train_function(self, *args, **kwargs):  # noqa: D102
        self._require_statistics()
        return super().make_train_function(*args, **kwargs)

    def make_test_function(self, *args, **kwargs):  # noqa: D102
        self._require_statistics()
        return super().make_test_function(*args, **kwargs)

    def make_predict_function(self, *args, **kwargs):  # noqa: D102
        self._require_statistics()
        return super().make_predict_function(*args, **kwargs)


def pooled_spectra(spectra, present, keep_time=False):
    """Means over time of a window's spectra.

    Args:
        spectra: As `measure` returns them.
        present: Boolean `(batch, modalities)`, false for modalities whose numbers are to be 0.
        keep_time: Return the spectra of all times instead of their means.

    Returns: list of float32 `(batch, numbers)`, or `(batch, time, numbers)`, one for each modality.
    """
    kept = []
    for i, spectrum in enumerate(spectra.values()):
        # A new axis in the index itself is lost where TensorFlow's optimizer removes the stack that made `present`.
        kept.append(ops.where(ops.reshape(present[:, i], (-1, 1, 1)), spectrum, 0.0))
    return kept if keep_time else [ops.mean(spectrum, axis=1) for spectrum in kept]
