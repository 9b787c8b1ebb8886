"""Log band powers of each patch of a signal."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from physiokeras.constants import INT16_SCALE, Tensor
from physiokeras.layers.fourier import rfft_by_products

_FLOOR = 1e-3
_ROUNDING_POWER = INT16_SCALE**2 / 12
_CONSTANT = 1e-10


@keras.saving.register_keras_serializable("physiokeras")
class PatchSpectrum(keras.layers.Layer):
    """Standardised log band powers of each patch, over spans of several lengths.

    Per channel and span: the span's mean is subtracted, a Hann window applied, and the power averaged in bands from one
    cycle per span to half the sampling rate. A number is log(power + 0.001 x the band's median power in training); the
    spans' means are numbers too. Each number is standardised by its mean and variance in training. `adapt` learns these
    statistics; before it, all numbers are NaN.

    A span is centred on its patch. At the edges of the window it is moved inside, so that no sample is made up; a span
    longer than the window is the window. A span of n samples has n / 2 frequencies, so short spans of slow signals have
    fewer bands than `bands`, and a span of one sample has none.

    Args:
        time: Number of patches that a window is cut in.
        spans: Lengths of the spans in patches.
        bands: Largest number of bands of a span; their edges are log-spaced.

    Call arguments:
        signal: float `(batch, samples, channels)` in scaled units; `samples` must be a multiple of `time`.
        present: Boolean `(batch, channels)`, true where the recording has the channel; without it all are present. The
            numbers of an absent channel are 0, and so are numbers that did not vary in training.

    Returns: float32 `(batch, time, numbers)`, also under mixed precision. Channel by channel; within a channel the
        bands' powers, span by span, then the spans' means.
    """

    def __init__(self, time: int, spans: Sequence[int] = (1, 4, 16), bands: int = 8, **kwargs):
        # Powers span more than ten decades: signals must arrive in float32 whatever the policy.
        super().__init__(**{**kwargs, "dtype": "float32", "autocast": False})
        if not spans or min(spans) < 1:
            raise ValueError(f"`spans` must be lengths of at least 1 patch. Received: spans={spans}.")
        if bands < 1:
            raise ValueError(f"`bands` must be at least 1. Received: bands={bands}.")
        self.time, self.spans, self.bands = time, tuple(spans), bands
        self.by_products = False  # a model that is exported cannot count on a Fourier transform
        self.reset_state()

    def build(self, shape):  # noqa: D102
        _, samples, channels = shape
        if samples % self.time:
            raise ValueError(
                f"A window must divide into `time` equal patches. Received: samples={samples}, time={self.time}."
            )
        self.patch, self.channels = samples // self.time, channels
        self.widths = [self.patch * span for span in dict.fromkeys(min(span, self.time) for span in self.spans)]
        self.edges = [band_edges(width, self.bands) for width in self.widths]
        powers = sum(len(edges) - 1 for edges in self.edges)
        numbers = (channels, powers + len(self.widths))
        self.floor = self._statistic("floor", (channels, powers), "ones")
        # Spectra of these are NaN. Not NaN themselves: JAX refuses weights that differ between hosts, as two NaN do.
        unknown = keras.initializers.Constant(math.inf)
        self.mean = self._statistic("mean", numbers, unknown)
        self.variance = self._statistic("variance", numbers, unknown)

    def _statistic(self, name, shape, initializer):
        return self.add_weight(shape=shape, initializer=initializer, trainable=False, name=name)

    @property
    def numbers(self) -> int:
        """Numbers of one channel and patch; known once the layer is built."""
        return self.mean.shape[1]

    @property
    def width(self) -> int:
        """Numbers of all channels of a patch; known once the layer is built."""
        return self.channels * self.numbers

    def number_names(self, channels: Sequence[str], seconds: float) -> list[str]:
        """What each number of a patch is, such as "C3-M2 0.25 to 0.75 Hz of 4 s" or "C3-M2 mean of 4 s".

        Args:
            channels: Names of the channels.
            seconds: Length of a patch.

        Returns: `width` names; known once the layer is built.
        """
        numbers = [f"{low:.3g} to {high:.3g} Hz of {length:g} s" for low, high, length in self.frequencies(seconds)]
        numbers += [f"mean of {width * seconds / self.patch:g} s" for width in self.widths]
        return [f"{channel} {number}" for channel in channels for number in numbers]

    def frequencies(self, seconds: float) -> list[tuple[float, float, float]]:
        """Lowest and highest frequency in Hz of each power of a channel, and the length of its span in seconds.

        Args:
            seconds: Length of a patch.
        """
        lengths = [width * seconds / self.patch for width in self.widths]
        return [
            (low / length, (high - 1) / length, length)
            for length, edges in zip(lengths, self.edges, strict=True)
            for low, high in itertools.pairwise(edges)
        ]

    def in_band(self, band: tuple[float, float], seconds: float) -> np.ndarray:
        """Which numbers of a patch tell of a signal that has been band-passed; the others are of what leaks through.

        Args:
            band: Lowest and highest frequency in Hz that the filter has let through.
            seconds: Length of a patch.

        Returns: boolean `(width,)`: true for the powers of bands that overlap `band`, false for means.
        """
        powers = [high >= band[0] and low <= band[1] for low, high, _ in self.frequencies(seconds)]
        return np.tile([*powers, *[False] * len(self.widths)], self.channels)

    @property
    def adapted(self) -> bool:
        """Whether the layer has its statistics, from `adapt` or from a file."""
        # Under a `tf.distribute` strategy a variable is several, and no array before it is read.
        return bool(np.isfinite(ops.convert_to_numpy(ops.convert_to_tensor(self.mean))).all())

    def call(self, signal, present=None):  # noqa: D102
        powers, means = self._measure(ops.cast(signal, "float32"))
        numbers = ops.concatenate([ops.log(powers + self.floor[:, None]), means], axis=-1)
        scale = ops.where(self.variance > 0.0, ops.rsqrt(ops.maximum(self.variance, 1e-30)), 0.0)
        numbers = (numbers - self.mean[:, None]) * scale[:, None]
        if present is not None:
            numbers = ops.where(present[:, :, None, None], numbers, 0.0)
        return ops.reshape(ops.transpose(numbers, (0, 2, 1, 3)), (-1, self.time, self.width))

    def _measure(self, signal, xp=ops):
        """Band powers `(batch, channels, time, powers)` and means `(batch, channels, time, spans)`.

        `xp` computes them: Keras in the graph, NumPy in `adapt`, where compiling would take longer than computing.
        """
        signal = xp.transpose(signal, (0, 2, 1))
        parts = [self._measure_span(signal, *span, xp) for span in zip(self.widths, self.edges, strict=True)]
        return tuple(xp.concatenate(kind, axis=-1) for kind in zip(*parts, strict=True))

    def _measure_span(self, signal, width, edges, xp):
        # At the edges several patches have the same span: each is transformed once.
        starts, which = np.unique(span_starts(self.time, self.patch, width), return_inverse=True)
        # Whole blocks of samples are taken, which is faster than samples.
        block = math.gcd(width, *starts.tolist())
        places = starts[:, None] // block + np.arange(width // block)
        cut = xp.take(xp.reshape(signal, (-1, self.channels, self.time * self.patch // block, block)), places, axis=2)
        cut = xp.reshape(cut, (-1, self.channels, len(starts), width))
        mean = xp.mean(cut, axis=-1, keepdims=True)
        taper = np.sin(np.pi * np.arange(1, width + 1) / (width + 1)) ** 2
        taper = (taper / np.sqrt(np.sum(taper**2))).astype("float32")
        real, imaginary = self._fourier(xp.multiply(cut - mean, taper), xp)
        power = xp.square(real) + xp.square(imaginary)
        powers = [xp.mean(power[..., low:high], axis=-1, keepdims=True) for low, high in itertools.pairwise(edges)]
        found = xp.take(xp.concatenate([*powers, mean], axis=-1), which.reshape(-1), axis=2)
        return found[..., :-1], found[..., -1:]

    def _fourier(self, cut, xp):
        """Real and imaginary part of the discrete Fourier transform along the last axis."""
        if xp is ops:
            return rfft_by_products(cut) if self.by_products else ops.rfft(cut)
        with np.errstate(invalid="ignore"):  # `finalize_state` refuses what is not finite
            found = np.fft.rfft(cut)
        return found.real, found.imag

    def adapt(self, data: Any) -> None:
        """Learn floors, means and variances from training windows; earlier ones are forgotten.

        Args:
            data: Array `(windows, samples, channels)`; or an iterable of batches, each a signal or a pair of signal and
                `present` as in the call. All of it is read once, and its numbers are kept in memory meanwhile.

        Raises:
            ValueError: No window at all, or one with a number that is not finite.
        """
        self.reset_state()
        for batch in [data] if hasattr(data, "shape") else data:
            self.update_state(*batch if isinstance(batch, tuple) else (batch,))
        self.finalize_state()

    def reset_state(self) -> None:
        """Forget the windows that `update_state` collected."""
        self._collected: list[tuple] = []

    def update_state(self, signal: Tensor, present: Tensor | None = None) -> None:
        """Collect a batch of training windows; arguments as in the call."""
        if not self.built:
            self.build(tuple(signal.shape))
        powers, means = self._measure(ops.convert_to_numpy(signal).astype("float32"), np)
        present = np.ones(powers.shape[:2], bool) if present is None else ops.convert_to_numpy(present)
        self._collected.append((powers, means, present))

    def finalize_state(self) -> None:
        """Set the statistics to those of the windows that `update_state` collected, and forget the windows."""
        if not sum(len(present) for *_, present in self._collected):
            raise ValueError(f"{self.name}: `adapt` needs at least one window. Received: none.")
        powers, means, present = (np.concatenate(kind) for kind in zip(*self._collected, strict=True))
        self.reset_state()
        found = [_statistics(powers[row, i], means[row, i], i) for i, row in enumerate(present.astype(bool).T)]
        for weight, values in zip((self.floor, self.mean, self.variance), zip(*found, strict=True), strict=True):
            weight.assign(np.stack(values).astype("float32"))

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {**super().get_config(), "time": self.time, "spans": self.spans, "bands": self.bands}


def band_edges(width, bands):
    """Edges of log-spaced bands of a span, in cycles per span: band i holds the frequencies `edges[i]:edges[i + 1]`.

    Args:
        width: Samples of the span.
        bands: Largest number of bands; there are fewer where frequencies are few, and no band is empty.

    Returns: list of rising integers from 1 to `width // 2 + 1`.
    """
    frequencies = width // 2
    edges = np.geomspace(1, frequencies + 1, min(bands, frequencies) + 1) if frequencies else np.ones(1)
    return np.unique(np.round(edges).astype(int)).tolist()


def span_starts(time, patch, width):
    """First sample of each patch's span: centred on the patch, and moved inside the window at its edges.

    Args:
        time: Number of patches.
        patch: Samples of a patch.
        width: Samples of a span, at most `time * patch`.

    Returns: integer array `(time,)`.
    """
    return np.clip(np.arange(time) * patch - (width - patch) // 2, 0, time * patch - width)


def _statistics(powers, means, channel):
    """Floors, means and variances of a channel from its powers `(windows, time, powers)` and means."""
    powers, means = (x.reshape(len(x) * x.shape[1], x.shape[2]).astype("float64") for x in (powers, means))
    if not len(means):  # never present: whatever it holds later counts as 0
        return np.full(powers.shape[1], _FLOOR * _ROUNDING_POWER), *np.zeros((2, powers.shape[1] + means.shape[1]))
    if not (np.isfinite(powers).all() and np.isfinite(means).all()):
        raise ValueError(f"channel {channel}: training windows hold values that are not finite; mark it absent there.")
    # Stored integers are rounded: less power than the rounding's says nothing, and no power has no logarithm.
    floor = _FLOOR * np.maximum(np.median(powers, axis=0), _ROUNDING_POWER)
    numbers = np.concatenate([np.log(powers + floor), means], axis=1)
    mean, variance = numbers.mean(axis=0), numbers.var(axis=0)
    # A constant number varies by rounding alone, and its variance would blow that up.
    return floor, mean, np.where(variance > _CONSTANT * (1 + mean**2), variance, 0.0)
