"""The transformer block of encoder and decoders."""

import keras
from keras import ops

from physiokeras.layers.attention import attend
from physiokeras.layers.dense import TokenDense, gelu
from physiokeras.layers.normalization import TokenNormalization
from physiokeras.seeds import derive


@keras.saving.register_keras_serializable("physiokeras")
class TransformerBlock(keras.layers.Layer):
    """Attention, then a two-layer perceptron, each after layer normalisation.

    With `cross` the tokens attend to a context instead of themselves, and nothing of them is added back after the
    attention: what leaves is what the context had to say.

    Args:
        width: Width of the tokens, a multiple of `heads`.
        heads: Number of attention heads.
        mlp_ratio: Width of the perceptron's middle, in multiples of `width`.
        dropout: Share of each sublayer's outputs dropped in training, in `[0, 1)`.
        cross: Whether to attend to a context.
        seed: Seed of the dropout.

    Call arguments:
        tokens: `(batch, tokens, width)`; with `cross` also `(1, tokens, width)`, the same for every row.
        context: `(batch, keys, width)`, with `cross` only.
        valid: Boolean `(batch, keys)`, true for tokens (or context) that may be seen; or `(batch, tokens, keys)`, that
            may be seen by each token; none for all.
        return_attention: Whether to return the attention weights too.

    Returns: `(batch, tokens, width)`, and with `return_attention` float32 `(batch, heads, tokens, keys)`.

    Source: Vaswani et al. 2017, arXiv 1706.03762; pre-normalised as in Xiong et al. 2020, arXiv 2002.04745; the cross
    attention without residual as in MultiMAE, Bachmann et al. 2022, arXiv 2204.01678.
    """

    def __init__(self, width, heads, mlp_ratio=4, dropout=0.0, cross=False, seed=0, **kwargs):
        super().__init__(**kwargs)
        if width % heads:
            raise ValueError(f"`width` must be a multiple of `heads`. Received: width={width}, heads={heads}.")
        self.width, self.heads, self.mlp_ratio = width, heads, mlp_ratio
        self.dropout, self.cross, self.seed = dropout, cross, seed
        self.norm_attention = self._sublayer(TokenNormalization, "norm_attention", epsilon=1e-5)
        if cross:
            self.norm_context = self._sublayer(TokenNormalization, "norm_context", epsilon=1e-5)
            self.query = self._sublayer(TokenDense, "query", units=width)
            self.key_value = self._sublayer(TokenDense, "key_value", units=2 * width)
        else:
            self.query_key_value = self._sublayer(TokenDense, "query_key_value", units=3 * width)
        self.mix = self._sublayer(TokenDense, "mix", units=width)
        self.norm_mlp = self._sublayer(TokenNormalization, "norm_mlp", epsilon=1e-5)
        self.up = self._sublayer(TokenDense, "up", units=mlp_ratio * width, activation=gelu)
        self.down = self._sublayer(TokenDense, "down", units=width)
        self.drop_attention = self.drop_mlp = None
        if dropout:
            self.drop_attention = self._dropout("drop_attention")
            self.drop_mlp = self._dropout("drop_mlp")

    def _sublayer(self, kind, name, **arguments):
        return kind(name=name, dtype=self.dtype_policy, **arguments)

    def _dropout(self, name):
        return self._sublayer(keras.layers.Dropout, name, rate=self.dropout, seed=derive(self.seed, name))

    def build(self, *_):  # noqa: D102
        tokens = (None, None, self.width)
        for layer in self._flatten_layers(include_self=False, recursive=False):
            layer.build((*tokens[:2], self.mlp_ratio * self.width) if layer is self.down else tokens)
        self._match_keys_to_queries()

    def _match_keys_to_queries(self):
        """Start with equal weights for keys and queries: tokens of one time then attend to each other from step 0.

        Without it, a small network still predicted little but the mean after 600 steps.
        Source: Trockman and Kolter 2023, arXiv 2305.09828 (mimetic initialisation).
        """
        keys = self.key_value if self.cross else self.query_key_value
        first = 0 if self.cross else self.width
        kernel = ops.convert_to_tensor(keys.kernel)
        if self.cross:
            # Sharper still: a query knows its time and nothing else.
            self.query.kernel.assign(1.5 * self.query.kernel)
        query = ops.convert_to_tensor(self.query.kernel) if self.cross else kernel[:, : self.width]
        rest = [kernel[:, :first], query, kernel[:, first + self.width :]]
        keys.kernel.assign(ops.concatenate(rest, axis=1))

    def call(self, tokens, context=None, valid=None, return_attention=False, training=False):  # noqa: D102
        # Sublayers are built and their inputs cast, so they compute without Keras's bookkeeping around each call, which
        # takes a tenth of a training step on PyTorch.
        query, key, value = self._query_key_value(self.norm_attention.call(tokens), context)
        mixed = attend(query, key, value, self.heads, valid, return_attention)
        mixed, weights = mixed if return_attention else (mixed, None)
        mixed = self.mix.call(mixed)
        if self.drop_attention:
            mixed = self.drop_attention(mixed, training=training)
        tokens = mixed if self.cross else tokens + mixed
        hidden = self.down.call(self.up.call(self.norm_mlp.call(tokens)))
        if self.drop_mlp:
            hidden = self.drop_mlp(hidden, training=training)
        return (tokens + hidden, weights) if return_attention else tokens + hidden

    def _query_key_value(self, tokens, context):
        """Query, key and value, each `(batch, tokens or keys, width)`."""
        if not self.cross:
            return self.query_key_value.parts(tokens, 3)
        context = self.norm_context.call(context)
        # Queries that are the same for every row are computed once.
        query = self.query.call(tokens)
        query = ops.broadcast_to(query, (ops.shape(context)[0], *query.shape[1:]))
        return query, *self.key_value.parts(context, 2)

    def get_config(self):  # noqa: D102
        names = ("width", "heads", "mlp_ratio", "dropout", "cross", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
