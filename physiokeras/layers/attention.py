"""Scaled dot-product attention over valid keys, with its weights on request."""

from keras import config, ops

from physiokeras.constants import Tensor

_HIDDEN = -1e9
"""Score of a hidden key: it vanishes beside any real score, and stays finite where all keys are hidden."""


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    heads: int,
    valid: Tensor | None = None,
    return_weights: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Multi-head attention of every query over the valid keys.

    A row without a valid key gets the plain average of all keys, never NaN.

    Args:
        query: `(batch, queries, width)`, head by head.
        key: `(batch, keys, width)`.
        value: `(batch, keys, width)`.
        heads: Number of heads; `width` is a multiple of it.
        valid: Boolean `(batch, keys)`, or `(batch, queries, keys)`, true where a key may be attended to; none for all.
        return_weights: Whether to return the attention weights too.

    Returns: `(batch, queries, width)`, and with `return_weights` also float32 `(batch, heads, queries, keys)`.
    """
    if valid is not None:
        valid = valid[:, None, None] if len(valid.shape) == 2 else valid[:, None]
    query, key, value = (ops.reshape(x, (-1, x.shape[1], heads, x.shape[2] // heads)) for x in (query, key, value))
    if return_weights or not _has_fused_kernel():
        mixed, weights = _attend_by_products(query, key, value, valid)
    else:
        mixed, weights = ops.dot_product_attention(query, key, value, mask=valid), None
    mixed = ops.reshape(mixed, (-1, mixed.shape[1], heads * mixed.shape[3]))
    return (mixed, weights) if return_weights else mixed


def _has_fused_kernel():
    """Whether `ops.dot_product_attention` is faster than two products here."""
    return config.backend() == "torch"


def _attend_by_products(query, key, value, valid):
    """Mixed values `(batch, queries, heads, size)` and float32 weights, from `(batch, tokens, heads, size)`."""
    query, key, value = (ops.transpose(x, (0, 2, 1, 3)) for x in (query, key, value))
    scores = ops.matmul(query * query.shape[-1] ** -0.5, ops.transpose(key, (0, 1, 3, 2)))
    scores = ops.cast(scores, "float32")
    if valid is not None:
        scores = ops.where(valid, scores, _HIDDEN)
    weights = ops.softmax(scores, axis=-1)
    mixed = ops.matmul(ops.cast(weights, value.dtype), value)
    return ops.transpose(mixed, (0, 2, 1, 3)), weights
