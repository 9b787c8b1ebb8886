"""Seeds of all random generators, each derived from the run seed."""

import hashlib


def derive(seed, *path):
    """Seed of the random generator with the name `path`.

    Hashing makes the generators independent, which `seed + i` does not: on the torch backend the second draw of seed 5
    is the first draw of seed 6.

    Args:
        seed: The run's seed, an integer.
        *path: Names or numbers that identify the generator.

    Returns: integer in [0, 2**31).
    """
    text = "/".join(str(part) for part in (seed, *path))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
