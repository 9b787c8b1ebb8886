"""The transformer block of encoder and decoders."""

from typing import Any

import keras
from keras import ops

from physiokeras.layers.attention import attend
from physiokeras.layers.seed_state import Dropout
from physiokeras.layers.token_matrix import flatten, unflatten
from physiokeras.seeds import derive


@keras.saving.register_keras_serializable("physiokeras")
class TransformerBlock(keras.layers.Layer):
    """Attention, then a two-layer perceptron, each after layer normalisation.

    With `cross` the tokens attend to a context instead of themselves. Cross-attention has no residual connection.

    Args:
        width: Width of the tokens, a multiple of `heads`.
        heads: Number of attention heads.
        mlp_ratio: Width of the perceptron's hidden layer, in multiples of `width`.
        dropout: Rate at which outputs of attention and perceptron are dropped in training, in `[0, 1)`.
        cross: Whether to attend to a context.
        seed: Seed of the dropout.

    Call arguments:
        tokens: `(batch, tokens, width)`; with `cross` also `(1, tokens, width)`, the same for every row.
        context: `(batch, keys, width)`, with `cross` only.
        valid: Boolean `(batch, keys)`, true for tokens (or context) that may be attended to; or
            `(batch, tokens, keys)`, for each token; none for all.
        return_attention: Whether to return the attention weights too.

    Returns: `(batch, tokens, width)`, and with `return_attention` float32 `(batch, heads, tokens, keys)`.

    Source: Vaswani et al. 2017, arXiv 1706.03762; pre-normalised as in Xiong et al. 2020, arXiv 2002.04745; the cross
    attention without residual as in MultiMAE, Bachmann et al. 2022, arXiv 2204.01678.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        mlp_ratio: int = 4,
        dropout: float = 0.0,
        cross: bool = False,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if width % heads:
            raise ValueError(f"`width` must be a multiple of `heads`. Received: width={width}, heads={heads}.")
        self.width, self.heads, self.mlp_ratio = width, heads, mlp_ratio
        self.dropout, self.cross, self.seed = dropout, cross, seed
        self.norm_attention = self._norm("norm_attention")
        if cross:
            self.norm_context = self._norm("norm_context")
            self.query = self._dense("query", width)
            self.key_value = self._dense("key_value", 2 * width)
        else:
            self.query_key_value = self._dense("query_key_value", 3 * width)
        self.mix = self._dense("mix", width)
        self.norm_mlp = self._norm("norm_mlp")
        self.up = self._dense("up", mlp_ratio * width, activation="gelu")
        self.down = self._dense("down", width)
        self.drop_attention = self._drop("drop_attention")
        self.drop_mlp = self._drop("drop_mlp")

    def _norm(self, name):
        return keras.layers.LayerNormalization(epsilon=1e-5, name=name, dtype=self.dtype_policy)

    def _dense(self, name, units, **arguments):
        return keras.layers.Dense(units, name=name, dtype=self.dtype_policy, **arguments)

    def _drop(self, name):
        if not self.dropout:
            return None
        return Dropout(self.dropout, seed=derive(self.seed, name), name=name, dtype=self.dtype_policy)

    def build(self, *_):  # noqa: D102
        attention = (self.norm_context, self.query, self.key_value) if self.cross else (self.query_key_value,)
        for layer in (self.norm_attention, *attention, self.mix, self.norm_mlp, self.up):
            layer.build((None, self.width))
        self.down.build((None, self.mlp_ratio * self.width))
        self._match_keys_to_queries()

    def _match_keys_to_queries(self):
        """Start with equal weights for keys and queries: tokens of one time then attend to each other from step 0.

        Without it, a small network predicts little but the mean after 600 steps.
        Source: Trockman and Kolter 2023, arXiv 2305.09828 (mimetic initialisation).
        """
        keys = self.key_value if self.cross else self.query_key_value
        first = 0 if self.cross else self.width
        kernel = ops.convert_to_tensor(keys.kernel)
        if self.cross:
            # Decoder queries hold only their time, so their scores must be larger to find it.
            self.query.kernel.assign(1.5 * self.query.kernel)
        query = ops.convert_to_tensor(self.query.kernel) if self.cross else kernel[:, : self.width]
        rest = [kernel[:, :first], query, kernel[:, first + self.width :]]
        keys.kernel.assign(ops.concatenate(rest, axis=1))

    def call(self, tokens, context=None, valid=None, return_attention=False, training=False):  # noqa: D102
        count = tokens.shape[1]
        tokens = flatten(tokens)
        query, key, value = self._query_key_value(self.norm_attention(tokens), count, context)
        mixed = attend(query, key, value, self.heads, valid, return_attention)
        mixed, weights = mixed if return_attention else (mixed, None)
        mixed = self.mix(flatten(mixed))
        if self.drop_attention:
            mixed = self.drop_attention(mixed, training=training)
        tokens = mixed if self.cross else tokens + mixed
        hidden = self.down(self.up(self.norm_mlp(tokens)))
        if self.drop_mlp:
            hidden = self.drop_mlp(hidden, training=training)
        tokens = unflatten(tokens + hidden, count)
        return (tokens, weights) if return_attention else tokens

    def _query_key_value(self, tokens, count, context):
        """Query, key and value, each `(batch, tokens or keys, width)`, from tokens `(batch * count, width)`."""
        if not self.cross:
            return ops.split(unflatten(self.query_key_value(tokens), count), 3, axis=-1)
        # Queries of `(1, tokens, width)` are computed once and broadcast.
        query = unflatten(self.query(tokens), count)
        query = ops.broadcast_to(query, (ops.shape(context)[0], *query.shape[1:]))
        key_value = unflatten(self.key_value(self.norm_context(flatten(context))), context.shape[1])
        return query, *ops.split(key_value, 2, axis=-1)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        names = ("width", "heads", "mlp_ratio", "dropout", "cross", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
