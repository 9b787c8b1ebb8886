"""Which columns of `present` belong to which modality."""


class ChannelLayout:
    """The place of each modality's channels among the channels of all modalities.

    `present` and every other array with a column for each channel lists the channels modality by modality.

    ```python
    layout = ChannelLayout({"eeg": 6, "eog": 1, "ecg": 1})
    layout.columns["eog"]           # slice(6, 7)
    layout.positions(["ecg", "eog"])  # [7, 6]
    ```

    Args:
        counts: Number of channels of each modality, name -> integer, in order.

    Attributes:
        columns: dict of modality -> slice of its columns.
        total: Number of channels of all modalities.
    """

    def __init__(self, counts):
        self.columns, self.total = {}, 0
        for name, count in counts.items():
            self.columns[name] = slice(self.total, self.total + count)
            self.total += count

    @classmethod
    def of(cls, modalities):
        """Layout of modalities as an encoder or a manifest describes them.

        Args:
            modalities: dict of modality -> dict with "channels": their number, or a list of their names.
        """
        sizes = {name: m["channels"] for name, m in modalities.items()}
        return cls({name: size if isinstance(size, int) else len(size) for name, size in sizes.items()})

    def positions(self, names):
        """Column numbers of the channels of some modalities, a list, in the order of `names`."""
        return [column for name in names for column in range(self.total)[self.columns[name]]]

    def split(self, values):
        """The columns of each modality: dict of modality -> `(rows, channels)`, from `(rows, all channels)`."""
        return {name: values[:, columns] for name, columns in self.columns.items()}
