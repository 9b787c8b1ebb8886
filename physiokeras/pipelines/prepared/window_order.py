"""The order of a shuffled stream: a pure function of seed, pass and numbers of windows, which reads no shard.

The first version of the stream had this order from `tf.data`: `interleave` of up to 32 shards, then `shuffle` with a
buffer of 2,048 windows, seeded by TensorFlow's stateless generators. So trainings of that version resume exactly.

Source of the generator: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox 4x32-10), in the
seeding of tensorflow/core/kernels/stateless_random_ops.cc and tensorflow/core/lib/random/philox_random.h.
"""

import heapq

import numpy as np

from physiokeras.seeds import derive

OPEN_SHARDS = 32
"""Number of shards that are read in turn, one window from each."""

BUFFER = 2048
"""Windows among which each next one is drawn."""

_LOW = np.uint64(0xFFFFFFFF)
_WORD = np.uint64(32)
_AHEAD = 4096


class PassOrder:
    """The order of one pass.

    Args:
        counts: Number of windows of each shard, each at least 1.
        seed: Seed of the stream.
        number: Number of the pass.
    """

    def __init__(self, counts, seed, number):
        first, second = _split(_fold_in([derive(seed, "stream", name) for name in ("high", "low")], number))
        # The mantissas of TensorFlow's uniform float64, whose upper bits come from the first of two words.
        words = _stateless(first, len(counts))
        uniform = ((words << _WORD) | (words >> _WORD)) & np.uint64((1 << 52) - 1)
        shards = np.argsort(uniform, kind="stable")
        taken = in_turn(np.asarray(counts)[shards])
        self._shards = shards[taken[0]]
        self._places = taken[1]
        # A seed of `shuffle` is taken modulo the greatest int32.
        self._draw = int(_stateless(second, 1).astype(np.int64)[0]) % ((1 << 31) - 1)
        self._order = list(range(len(self._places)))
        self._done = 0

    def part(self, begin, end):
        """`(shards, places)` of the pass's windows from `begin` to `end`: arrays of numbers.

        A place is the position in the shard, counted from the first of the windows that `counts` counts.
        """
        self._shuffle(end)
        order = self._order[begin:end]
        return self._shards[order], self._places[order]

    def _shuffle(self, end):
        """Draw up to window `end`: `shuffle` exchanges each place with one of the buffer that begins at it."""
        order, total = self._order, len(self._order)
        while self._done < end:
            begin = self._done
            stop = min(begin + _AHEAD, total)
            blocks = philox(1, self._draw, begin // 4, -(-stop // 4))
            draws = blocks.reshape(-1).tolist()
            for place, drawn in zip(range(begin, stop), draws, strict=False):
                other = place + drawn % min(BUFFER, total - place)
                order[place], order[other] = order[other], order[place]
            self._done = stop


def in_turn(counts):
    """Windows of shards of which `OPEN_SHARDS` are open, one window from each in turn.

    A turn that meets the end of a shard yields no window; the next shard opens in the turn after it.

    Args:
        counts: Number of windows of each shard.

    Returns: `(shards, places)`: shard and place in it of each window.
    """
    slots = min(len(counts), OPEN_SHARDS)
    free = [(0, slot) for slot in range(slots)]
    turns = []
    for count in counts.tolist():
        turn, slot = heapq.heappop(free)
        turns.append(turn * slots + slot)
        heapq.heappush(free, (turn + count + 1, slot))
    shards = np.repeat(np.arange(len(counts)), counts)
    places = np.arange(len(shards)) - np.repeat(np.cumsum(counts) - counts, counts)
    order = np.argsort(np.repeat(turns, counts) + places * slots, kind="stable")
    return shards[order], places[order]


def philox(key, stream, first, last):
    """Blocks `first` to `last` of Philox 4x32-10.

    Args:
        key: 64 bits.
        stream: Upper half of the counter, 64 bits.
        first: Lower half of the first block's counter.
        last: That of the block after the last.

    Returns: uint32 `(last - first, 4)`.
    """
    numbers = np.arange(first, last, dtype=np.uint64)
    stream = np.full_like(numbers, stream)
    c0, c1, c2, c3 = numbers & _LOW, numbers >> _WORD, stream & _LOW, stream >> _WORD
    k0, k1 = int(key) & 0xFFFFFFFF, int(key) >> 32
    for _ in range(10):
        first_product, second_product = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c2 = (second_product >> _WORD) ^ c1 ^ np.uint64(k0), (first_product >> _WORD) ^ c3 ^ np.uint64(k1)
        c1, c3 = second_product & _LOW, first_product & _LOW
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def _stateless(seed, count):
    """`count` numbers of 64 bits, as TensorFlow's stateless generators draw them from a seed of two integers."""
    low, high = (int(value) % (1 << 64) for value in seed)
    mixed = philox(0x02461E293EC8F720, high, low, low + 1).view(np.uint64)[0].tolist()
    return philox(*mixed, 0, -(-count // 2)).view(np.uint64).reshape(-1)[:count]


def _fold_in(seed, number):
    return _stateless(seed, 1).astype(np.int64)[0], number


def _split(seed):
    return _stateless(seed, 4).reshape(2, 2)
