"""Scaled dot-product attention with padding, and with its weights on request."""

from keras import config, ops

_HIDDEN = -1e9


def attend(query, key, value, valid=None, return_weights=False):
    """Attention of every query over the keys that `valid` leaves.

    A row whose keys are all hidden gets their plain average, never NaN.

    Args:
        query: `(batch, queries, heads, depth)`.
        key: `(batch, keys, heads, depth)`.
        value: `(batch, keys, heads, depth)`.
        valid: Boolean `(batch, keys)`, or `(batch, queries, keys)`, true where a key may be seen; none for all.
        return_weights: Whether to return the attention weights too.

    Returns: `(batch, queries, heads, depth)`, and with `return_weights` also float32 `(batch, heads, queries, keys)`.
    """
    if valid is not None:
        valid = valid[:, None, None] if len(valid.shape) == 2 else valid[:, None]
    if config.backend() == "torch" and not return_weights:
        # The fused kernel; on the other backends the products below are at least as fast.
        return ops.dot_product_attention(query, key, value, mask=valid, flash_attention=False)
    query, key, value = (ops.transpose(x, (0, 2, 1, 3)) for x in (query, key, value))
    scores = ops.matmul(query * query.shape[-1] ** -0.5, ops.transpose(key, (0, 1, 3, 2)))
    scores = ops.cast(scores, "float32")
    if valid is not None:
        # Keys hidden by a constant large enough to vanish beside any real score, small enough to stay finite.
        scores = ops.where(valid, scores, _HIDDEN)
    weights = ops.softmax(scores, axis=-1)
    mixed = ops.matmul(ops.cast(weights, value.dtype), value)
    mixed = ops.transpose(mixed, (0, 2, 1, 3))
    return (mixed, weights) if return_weights else mixed
