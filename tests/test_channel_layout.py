import numpy as np
import pytest

from physiokeras.channel_layout import ChannelLayout

pytestmark = pytest.mark.once

COUNTS = {"eeg": 2, "eog": 1, "resp": 3}
OWNERS = np.array(["eeg", "eeg", "eog", "resp", "resp", "resp"])


@pytest.mark.parametrize(
    "layout",
    [
        ChannelLayout(COUNTS),
        ChannelLayout.of({name: {"samples": 9, "channels": count} for name, count in COUNTS.items()}),
        ChannelLayout.of({name: {"channels": [f"{name} {i}" for i in range(n)]} for name, n in COUNTS.items()}),
    ],
)
def test_columns_are_those_of_the_modality(layout):
    assert layout.total == len(OWNERS)
    assert list(layout.columns) == list(COUNTS)
    for name, part in layout.split(OWNERS[None]).items():
        assert part.shape == (1, COUNTS[name])
        assert set(part[0]) == {name}


def test_positions_follow_the_order_of_the_names():
    positions = ChannelLayout(COUNTS).positions(["resp", "eeg"])
    assert positions == [3, 4, 5, 0, 1]
    assert OWNERS[positions].tolist() == ["resp"] * 3 + ["eeg"] * 2
    assert ChannelLayout(COUNTS).positions([]) == []
