"""Seeds for everything that draws, each derived from one run seed."""

import hashlib


def derive(seed, *path):
    """A seed of its own for the drawing thing called `path`.

    Hashing keeps streams apart where `seed + i` does not: on the torch backend the second draw of seed 5 is the
    first draw of seed 6.

    Args:
        seed: The run's seed, an integer.
        *path: Names or numbers that tell this user of randomness from all others.

    Returns: integer in [0, 2**31).
    """
    text = "/".join(str(part) for part in (seed, *path))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
