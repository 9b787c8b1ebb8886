"""Scaled dot-product attention with padding, and with its weights on request."""

from keras import config, ops

_HIDDEN = -1e9


def attend(query, key, value, heads, valid=None, return_weights=False):
    """Attention of every query over the keys that `valid` leaves, by several heads.

    A row whose keys are all hidden gets their plain average, never NaN.

    Args:
        query: `(batch, queries, width)`, head by head.
        key: `(batch, keys, width)`.
        value: `(batch, keys, width)`.
        heads: Number of heads, of which `width` is a multiple.
        valid: Boolean `(batch, keys)`, or `(batch, queries, keys)`, true where a key may be seen; none for all.
        return_weights: Whether to return the attention weights too.

    Returns: `(batch, queries, width)`, and with `return_weights` also float32 `(batch, heads, queries, keys)`.
    """
    if valid is not None:
        valid = valid[:, None, None] if len(valid.shape) == 2 else valid[:, None]
    if config.backend() == "torch" and not return_weights:
        return _fused(query, key, value, heads, valid)
    query, key, value = (
        ops.transpose(ops.reshape(x, (-1, x.shape[1], heads, x.shape[2] // heads)), (0, 2, 1, 3))
        for x in (query, key, value)
    )
    scores = ops.matmul(query * query.shape[-1] ** -0.5, ops.transpose(key, (0, 1, 3, 2)))
    scores = ops.cast(scores, "float32")
    if valid is not None:
        # Keys hidden by a constant large enough to vanish beside any real score, small enough to stay finite.
        scores = ops.where(valid, scores, _HIDDEN)
    weights = ops.softmax(scores, axis=-1)
    mixed = ops.transpose(ops.matmul(ops.cast(weights, value.dtype), value), (0, 2, 1, 3))
    mixed = ops.reshape(mixed, (-1, mixed.shape[1], heads * mixed.shape[3]))
    return (mixed, weights) if return_weights else mixed


def _fused(query, key, value, heads, valid):
    """`attend` by PyTorch's kernel, which Keras would give copies; on the other backends the products are as fast."""
    import torch

    query, key, value = (
        ops.convert_to_tensor(x).unflatten(2, (heads, -1)).transpose(1, 2) for x in (query, key, value)
    )
    if valid is not None:
        hidden = max(_HIDDEN, torch.finfo(query.dtype).min / 2)
        valid = torch.where(ops.convert_to_tensor(valid), 0.0, hidden).to(query.dtype)
    return torch.nn.functional.scaled_dot_product_attention(query, key, value, valid).transpose(1, 2).flatten(2)
