"""Exception classes: for input data that cannot be used as it is, and for training that cannot go on."""


class DataError(ValueError):
    """Input that breaks a rule: says where it is, which rule, and the way out.

    Args:
        message: The rule, what was received, and what to do.
        file: The file at fault.
        channel: The channel at fault.
        place: Byte, line or sample, in words: "byte 120", "line 3", "sample 5000".
    """

    def __init__(self, message, *, file=None, channel=None, place=None):
        self.message, self.file, self.channel, self.place = message, file, channel, place
        where = [str(file)] if file is not None else []
        where += [f"channel {channel}"] if channel is not None else []
        where += [str(place)] if place is not None else []
        super().__init__(": ".join([*where, message]))

    def __reduce__(self):
        # Worker processes hand errors back by pickling, which by default drops keyword arguments.
        return _rebuild, (type(self), self.message, self.file, self.channel, self.place)


class TrainingError(RuntimeError):
    """Training that went wrong, such as a loss that is no number: says at which step and what to try."""


def _rebuild(kind, message, file, channel, place):
    return kind(message, file=file, channel=channel, place=place)
