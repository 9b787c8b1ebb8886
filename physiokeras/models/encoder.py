"""One transformer for all modalities."""

import keras
from keras import ops

from physiokeras.constants import INT16_SCALE
from physiokeras.layers import PatchTokenizer, TokenEmbedding, TransformerBlock
from physiokeras.layers.token_matrix import flatten, unflatten
from physiokeras.models.replicas import ReplicatedModel
from physiokeras.seeds import derive


@keras.saving.register_keras_serializable("physiokeras")
class Encoder(ReplicatedModel):
    """A tokenizer for each modality, then one transformer over the tokens of all.

    Calling it encodes whole windows and never masks. Whatever a recording lacks is invisible: absent modalities are no
    keys of any attention and leave as zeros.

    Args:
        modalities: What a window holds, in order: `{"eeg": {"samples": 3000, "channels": 6}, ...}`.
        time: Number of tokens along time; every modality's samples must divide by it.
        width: Width of the tokens.
        depth: Number of transformer blocks.
        heads: Attention heads of each block.
        mlp_ratio: Width of a block's perceptron, in multiples of `width`.
        dropout: Dropout inside the blocks, in training only.
        seed: Seed from which those of the drawing layers derive.
        fusion: Number of first blocks in which a token attends to tokens of its own modality only. 0 is early fusion,
            the paper's; with `depth` modalities never meet, which is late fusion with as many parameters.

    Call arguments:
        inputs: dict of signals, name -> `(batch, samples, channels)`: int16 as stored, or floats in scaled units; and
            optionally "present", boolean `(batch, channels of all modalities)`: without it all are present.
        return_attention: Whether to return the attention of every block.
        return_layers: Whether to return the tokens after every block.

    Returns: tokens `(batch, tokens, width)`, modality by modality, time inside. With `return_attention` or
        `return_layers` a dict of "tokens", and "attention", a list of float32 `(batch, heads, tokens, tokens)`, or
        "layers", a list of `(batch, tokens, width)`.

    Source: arXiv 2410.16424; width 256, depth 8, heads 8 make the paper's size.
    """

    def __init__(
        self,
        modalities,
        time=30,
        width=256,
        depth=8,
        heads=8,
        mlp_ratio=4,
        dropout=0.0,
        seed=0,
        fusion=0,
        **kwargs,
    ):
        if not 0 <= fusion <= depth:
            raise ValueError(f"`fusion` must lie in [0, `depth`]. Received: fusion={fusion}, depth={depth}.")
        # Signals must reach the loss in float32 whatever the policy, so nothing is cast on entry.
        super().__init__(**{"name": "encoder", "autocast": False, **kwargs})
        self.modalities = {name: {"samples": m["samples"], "channels": m["channels"]} for name, m in modalities.items()}
        self.time, self.width, self.depth, self.heads = time, width, depth, heads
        self.mlp_ratio, self.dropout, self.seed, self.fusion = mlp_ratio, dropout, seed, fusion
        policy = self.dtype_policy
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

    @property
    def tokens(self):
        """Number of tokens of a window: modalities × time."""
        return len(self.modalities) * self.time

    def build(self, *_):  # noqa: D102
        if self.built:
            return
        for tokenizer, m in zip(self.tokenizers, self.modalities.values(), strict=True):
            tokenizer.build((None, m["samples"], m["channels"]))
        for layer in (self.embedding, *self.blocks, self.norm):
            layer.build((None, self.tokens, self.width))
        self.built = True

    def call(self, inputs, return_attention=False, return_layers=False, training=False):  # noqa: D102
        signals, present = self.read(inputs)
        valid = ops.repeat(self.present_modalities(present), self.time, axis=1)
        modality = ops.arange(self.tokens)[None] // self.time
        return self.transform(self.tokenize(signals), valid, modality, return_attention, return_layers, training)

    def read(self, inputs):
        """Signals as float32 in scaled units, zero where absent, and presence.

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
                    f"Received: {sorted(inputs)}. For one that is missing pass zeros, and false in `present`."
                )
            if tuple(inputs[name].shape[1:]) != expected:
                raise ValueError(
                    f"`inputs[{name!r}]` must have shape (batch, {expected[0]}, {expected[1]}). "
                    f"Received: {tuple(inputs[name].shape)}."
                )
        channels = [m["channels"] for m in self.modalities.values()]
        signals = {name: ops.convert_to_tensor(inputs[name]) for name in self.modalities}
        if "present" in inputs:
            present = ops.cast(inputs["present"], "bool")
            if tuple(present.shape[1:]) != (sum(channels),):
                raise ValueError(
                    f"`inputs['present']` must have shape (batch, {sum(channels)}), one column for each channel of "
                    f"{list(self.modalities)}. Received: {tuple(present.shape)}."
                )
        else:
            present = ops.ones((ops.shape(next(iter(signals.values())))[0], sum(channels)), "bool")
        read, first = {}, 0
        for (name, signal), count in zip(signals.items(), channels, strict=True):
            stored = "int" in keras.backend.standardize_dtype(signal.dtype)
            signal = ops.cast(signal, "float32") * (INT16_SCALE if stored else 1.0)
            read[name] = ops.where(present[:, None, first : first + count], signal, 0.0)
            first += count
        return read, present

    def present_modalities(self, present):
        """Boolean `(batch, modalities)` from the channels': a modality is present where any of its channels is."""
        columns, first = [], 0
        for m in self.modalities.values():
            columns.append(ops.any(present[:, first : first + m["channels"]], axis=1))
            first += m["channels"]
        return ops.stack(columns, axis=1)

    def tokenize(self, signals):
        """Tokens `(batch, tokens, width)` with their embeddings, from float signals `(batch, samples, channels)`."""
        tokens = [
            tokenizer(ops.cast(signals[name], self.compute_dtype))
            for name, tokenizer in zip(self.modalities, self.tokenizers, strict=True)
        ]
        return self.embedding(ops.concatenate(tokens, axis=1))

    def transform(self, tokens, valid, modality=None, return_attention=False, return_layers=False, training=False):
        """The transformer over a set of tokens.

        Args:
            tokens: `(batch, any number, width)`.
            valid: Boolean `(batch, same number)`, false for padding and absent modalities: zero in, zero out.
            modality: Integer `(batch or 1, same number)`, each token's modality by number; `fusion` needs it.
            return_attention: As in `call`.
            return_layers: As in `call`.
            training: Whether dropout is on.

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

    def restricted(self, names):
        """An encoder of some of the modalities, with the same weights.

        Its tokens are those that this one gives where the other modalities are absent.

        Args:
            names: Names of modalities, in the order that it shall have.

        Returns: `Encoder`; this one itself where it has these modalities in this order.

        Raises:
            ValueError: A modality that this encoder lacks, or none.
        """
        names, own = list(names), list(self.modalities)
        if not names or not set(names) <= set(own):
            raise ValueError(f"`names` must be among {own}, and one at least. Received: {names}.")
        if names == own:
            return self
        modalities = {name: self.modalities[name] for name in names}
        smaller = type(self).from_config({**self.get_config(), "modalities": modalities})
        for tokenizer, name in zip(smaller.tokenizers, names, strict=True):
            tokenizer.set_weights(self.tokenizers[own.index(name)].get_weights())
        for mine, its in zip((*self.blocks, self.norm), (*smaller.blocks, smaller.norm), strict=True):
            its.set_weights(mine.get_weights())
        rows = self.embedding.get_weights()[0][[own.index(name) for name in names]]
        smaller.embedding.set_weights([rows])
        return smaller

    def get_config(self):  # noqa: D102
        names = ("modalities", "time", "width", "depth", "heads", "mlp_ratio", "dropout", "seed", "fusion")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    @classmethod
    def from_config(cls, config):  # noqa: D102
        return cls(**config)
