"""Multimodal transformer encoder."""

from collections.abc import Sequence
from typing import Any, Self

import keras
from keras import ops

from physiokeras.channel_layout import ChannelLayout
from physiokeras.constants import INT16_SCALE, Tensor
from physiokeras.layers import PatchSpectrum, PatchTokenizer, TokenEmbedding, TransformerBlock
from physiokeras.layers.token_matrix import flatten, unflatten
from physiokeras.models.spectral import SpectralModel
from physiokeras.seeds import derive

VIEWS = ("samples", "spectrum", "both")


@keras.saving.register_keras_serializable("physiokeras")
class Encoder(SpectralModel):
    """A tokenizer for each modality, then one transformer over the tokens of all modalities.

    A call encodes whole windows and never masks. Tokens of absent modalities are keys of no attention, and zeros in the
    output.

    ```python
    modalities = {"eeg": {"samples": 3000, "channels": 6}, "ecg": {"samples": 3000, "channels": 1}}
    encoder = Encoder(modalities, time=30, width=64, depth=4, heads=4)
    tokens = encoder({"eeg": eeg, "ecg": ecg})  # (batch, 60, 64)
    ```

    Args:
        modalities: Shapes of a window's modalities, in order: `{"eeg": {"samples": 3000, "channels": 6}, ...}`.
        time: Number of tokens along time; every modality's samples must divide by it.
        width: Width of the tokens.
        depth: Number of transformer blocks.
        heads: Attention heads of each block.
        mlp_ratio: Width of the perceptron's hidden layer, in multiples of `width`.
        dropout: Dropout rate inside the blocks, in training only.
        seed: Seed from which those of the drawing layers derive.
        fusion: Number of first blocks in which a token attends to its own modality only. 0 is early fusion, the
            paper's; `depth` is late fusion, with the same number of parameters.
        view: What the tokenizers read of a patch: its "samples", as in the paper; the "spectrum", its log band powers
            by `PatchSpectrum`; or "both". Spectra need `adapt` before training or prediction.
        spans: Lengths of the spectra's spans in patches.

    Call arguments:
        inputs: dict of signals, name -> `(batch, samples, channels)`: int16 as stored, or floats in scaled units; and
            optionally "present", boolean `(batch, channels of all modalities)`; by default all are present.
        return_attention: Whether to return the attention of every block.
        return_layers: Whether to return the tokens after every block.
        return_spectra: Whether to return what the tokenizers read of the spectra.

    Returns: tokens `(batch, tokens, width)`, modality by modality, time inside. With any `return_...` a
        dict of "tokens", and "attention", a list of float32 `(batch, heads, tokens, tokens)`; "layers", a list of
        `(batch, tokens, width)`; "spectra", dict of name -> float32 `(batch, time, numbers)`, zeros where absent.

    Source: arXiv 2410.16424; width 256, depth 8, heads 8 make the paper's size.
    """

    def __init__(
        self,
        modalities: dict[str, dict[str, int]],
        time: int = 30,
        width: int = 256,
        depth: int = 8,
        heads: int = 8,
        mlp_ratio: int = 4,
        dropout: float = 0.0,
        seed: int = 0,
        fusion: int = 0,
        view: str = "samples",
        spans: Sequence[int] = (1, 4, 16),
        **kwargs,
    ):
        if view not in VIEWS:
            raise ValueError(f"`view` must be one of {VIEWS}. Received: view={view!r}.")
        if not 0 <= fusion <= depth:
            raise ValueError(f"`fusion` must lie in [0, `depth`]. Received: fusion={fusion}, depth={depth}.")
        # The loss needs signals in float32 whatever the policy, so Keras must not cast inputs.
        super().__init__(**{"name": "encoder", "autocast": False, **kwargs})
        self.modalities = {name: {"samples": m["samples"], "channels": m["channels"]} for name, m in modalities.items()}
        self.layout = ChannelLayout.of(self.modalities)
        self.time, self.width, self.depth, self.heads = time, width, depth, heads
        self.mlp_ratio, self.dropout, self.seed, self.fusion = mlp_ratio, dropout, seed, fusion
        self.view, self.spans = view, tuple(spans)
        policy = self.dtype_policy
        spectral = self.modalities if view != "samples" else ()
        self.spectra = [PatchSpectrum(time, self.spans, name=f"spectrum_{name}") for name in spectral]
        self.tokenizers = [
            PatchTokenizer(time, width, name=f"tokenizer_{name}", dtype=policy) for name in self.modalities
        ]
        self.embedding = TokenEmbedding(len(self.modalities), time, name="embedding", dtype=policy)
        self.blocks = [
            TransformerBlock(
                width, heads, mlp_ratio, dropout, seed=derive(seed, "block", i), name=f"block_{i}", dtype=policy
            )
            for i in range(depth)
        ]
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5, name="norm", dtype=policy)
        self.build()

    @classmethod
    def for_data(cls, data: Any, modalities: Sequence[str] | None = None, **options) -> "Encoder":
        """An encoder whose shapes are those of some data.

        ```python
        encoder = Encoder.for_data(Manifest.read("PREPARED"), width=64, depth=4)
        encoder = Encoder.for_data({"pulse": pulse, "motion": motion}, time=30)
        ```

        Args:
            data: `Manifest`, which also gives `time`; or a stream, or a dict of arrays `(windows, samples, channels)`,
                for which `time` has its default unless given.
            modalities: Names of the modalities to use; default: the default modalities of a manifest, otherwise all.
            **options: Further arguments of `Encoder`.

        Returns: `Encoder`.

        Raises:
            ValueError: `modalities` names an unknown one, an array has no three axes, or the samples of a modality do
                not divide by `time`.
        """
        if hasattr(data, "defaults"):
            known = {n: {"samples": m["samples"], "channels": len(m["channels"])} for n, m in data.modalities.items()}
            options, modalities = {"time": data.tokens, **options}, modalities or data.defaults
        else:
            arrays = data.element_spec[0] if hasattr(data, "element_spec") else data
            shapes = {name: tuple(values.shape) for name, values in arrays.items() if name != "present"}
            for name, shape in shapes.items():
                if len(shape) != 3:
                    way = " One channel: `values[:, :, None]`." if len(shape) == 2 else ""
                    rule = f"{name!r} must have the shape (windows, samples, channels)"
                    raise ValueError(f"{rule}. Received: {shape}.{way}")
            known = {name: {"samples": shape[1], "channels": shape[2]} for name, shape in shapes.items()}
        unknown = set(modalities or ()) - set(known)
        if unknown:
            raise ValueError(f"`modalities` must be among {list(known)}. Received also: {sorted(unknown)}.")
        return cls({name: known[name] for name in known if name in (modalities or known)}, **options)

    @property
    def tokens(self) -> int:
        """Number of tokens of a window: modalities × time."""
        return len(self.modalities) * self.time

    def build(self, *_):  # noqa: D102
        if self.built:
            return
        for i, (tokenizer, m) in enumerate(zip(self.tokenizers, self.modalities.values(), strict=True)):
            if not self.spectra:
                tokenizer.build((None, m["samples"], m["channels"]))
                continue
            self.spectra[i].build((None, m["samples"], m["channels"]))
            samples = m["samples"] // self.time * m["channels"] if self.view == "both" else 0
            tokenizer.build((None, self.time, samples + self.spectra[i].width))
        for layer in (self.embedding, *self.blocks, self.norm):
            layer.build((None, self.tokens, self.width))
        self.built = True

    def call(  # noqa: D102
        self, inputs, return_attention=False, return_layers=False, return_spectra=False, training=False
    ):
        signals, present = self.read(inputs)
        spectra = self.measure(signals, present)
        valid = ops.repeat(self.present_modalities(present), self.time, axis=1)
        modality = ops.arange(self.tokens)[None] // self.time
        tokens = self.tokenize(signals, spectra)
        out = self.transform(tokens, valid, modality, return_attention, return_layers, training)
        if not return_spectra:
            return out
        return {**(out if isinstance(out, dict) else {"tokens": out}), "spectra": spectra}

    def read(self, inputs: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """Convert signals to float32 in scaled units, zero where absent, and `present` to booleans.

        Args:
            inputs: As in `call`.

        Returns: dict of float32 `(batch, samples, channels)`, and boolean `(batch, channels of all modalities)`.

        Raises:
            ValueError: A modality is missing, or it or "present" has another shape; the message names it.
        """
        for name, m in self.modalities.items():
            expected = (m["samples"], m["channels"])
            if name not in inputs:
                raise ValueError(
                    f"`inputs` must hold every modality of the encoder: {list(self.modalities)}. "
                    f"Received: {sorted(inputs)}. For a missing modality pass zeros, and false in `present`."
                )
            if tuple(inputs[name].shape[1:]) != expected:
                raise ValueError(
                    f"`inputs[{name!r}]` must have shape (batch, {expected[0]}, {expected[1]}). "
                    f"Received: {tuple(inputs[name].shape)}."
                )
        signals = {name: ops.convert_to_tensor(inputs[name]) for name in self.modalities}
        if "present" in inputs:
            present = ops.cast(inputs["present"], "bool")
            if tuple(present.shape[1:]) != (self.layout.total,):
                raise ValueError(
                    f"`inputs['present']` must have shape (batch, {self.layout.total}), one column for each channel of "
                    f"{list(self.modalities)}. Received: {tuple(present.shape)}."
                )
        else:
            present = ops.ones((ops.shape(next(iter(signals.values())))[0], self.layout.total), "bool")
        read = {}
        for name, own in self.layout.split(present).items():
            stored = "int" in keras.backend.standardize_dtype(signals[name].dtype)
            signal = ops.cast(signals[name], "float32") * (INT16_SCALE if stored else 1.0)
            read[name] = ops.where(own[:, None], signal, 0.0)
        return read, present

    def present_modalities(self, present: Tensor) -> Tensor:
        """Boolean `(batch, modalities)` from `(batch, channels)`: true where a modality has any present channel."""
        return ops.stack([ops.any(own, axis=1) for own in self.layout.split(present).values()], axis=1)

    def patch_spectra(self) -> list[PatchSpectrum]:
        """List of the `PatchSpectrum` layers, one for each modality; empty with the view "samples"."""
        return self.spectra

    def tokenize(self, signals: dict[str, Tensor], spectra: dict[str, Tensor]) -> Tensor:
        """Tokens `(batch, tokens, width)` with their embeddings, from what `read` and `measure` return."""
        tokens = []
        for tokenizer, (name, m) in zip(self.tokenizers, self.modalities.items(), strict=True):
            patches = spectra[name] if self.view == "spectrum" else signals[name]
            if self.view == "both":
                patches = ops.reshape(patches, (-1, self.time, m["samples"] // self.time * m["channels"]))
                patches = ops.concatenate([patches, spectra[name]], axis=-1)
            tokens.append(tokenizer(ops.cast(patches, self.compute_dtype)))
        return self.embedding(ops.concatenate(tokens, axis=1))

    def transform(
        self,
        tokens: Tensor,
        valid: Tensor,
        modality: Tensor = None,
        return_attention: bool = False,
        return_layers: bool = False,
        training: bool = False,
    ) -> Tensor:
        """Apply the transformer to a set of tokens.

        Args:
            tokens: `(batch, any number, width)`.
            valid: Boolean `(batch, same number)`, false for padding and absent modalities: zero in, zero out.
            modality: Integer `(batch or 1, same number)`, each token's modality by number; `fusion` needs it.
            return_attention: As in `call`.
            return_layers: As in `call`.
            training: Whether to apply dropout.

        Returns: As `call`.
        """
        tokens = ops.where(valid[:, :, None], tokens, 0.0)
        attention, layers, own = [], [], valid
        if self.fusion:
            own = ops.logical_and(valid[:, None], ops.equal(modality[:, :, None], modality[:, None]))
        for i, block in enumerate(self.blocks):
            seen = own if i < self.fusion else valid
            tokens = block(tokens, valid=seen, return_attention=return_attention, training=training)
            if return_attention:
                tokens, weights = tokens
                attention.append(weights)
            if return_layers:
                layers.append(ops.where(valid[:, :, None], tokens, 0.0))
        tokens = ops.where(valid[:, :, None], unflatten(self.norm(flatten(tokens)), tokens.shape[1]), 0.0)
        if not (return_attention or return_layers):
            return tokens
        out = {"tokens": tokens}
        if return_attention:
            out["attention"] = attention
        if return_layers:
            out["layers"] = layers
        return out

    def restricted(self, names: Sequence[str]) -> "Encoder":
        """An encoder of a subset of the modalities, with the same weights.

        Its tokens equal those of this encoder where the other modalities are absent.

        Args:
            names: Names of modalities, in the order of the new encoder.

        Returns: `Encoder`; this one if `names` are all its modalities in its order.

        Raises:
            ValueError: `names` is empty or holds a modality that this encoder lacks.
        """
        names, own = list(names), list(self.modalities)
        if not names or not set(names) <= set(own):
            raise ValueError(f"`names` must be among {own}, at least one. Received: {names}.")
        if names == own:
            return self
        modalities = {name: self.modalities[name] for name in names}
        smaller = type(self).from_config({**self.get_config(), "modalities": modalities})
        parts: list[tuple] = [(smaller.tokenizers, self.tokenizers), (smaller.spectra, self.spectra)]
        for new, old in parts:
            for part, name in zip(new, names, strict=False):
                part.set_weights(old[own.index(name)].get_weights())
        for block, own_block in zip(smaller.blocks, self.blocks, strict=True):
            block.set_weights(own_block.get_weights())
        smaller.norm.set_weights(self.norm.get_weights())
        rows = self.embedding.get_weights()[0][[own.index(name) for name in names]]
        smaller.embedding.set_weights([rows])
        return smaller

    def untrained(self) -> Self:
        """A new encoder like this one, its weights drawn anew; statistics of the training windows are kept."""
        fresh = type(self).from_config(self.get_config())
        for mine, its in zip(self.spectra, fresh.spectra, strict=True):
            its.set_weights(mine.get_weights())
        return fresh

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        names = ["modalities", "time", "width", "depth", "heads", "mlp_ratio", "dropout", "seed", "fusion"]
        names += ["view", "spans"]
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:  # noqa: D102
        return cls(**config)
