"""Exceptions for unusable input data and for failed training."""


class DataError(ValueError):
    """Input data break a rule. The message gives the place, the rule and a way to fix it.

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
        # Worker processes return errors by pickling, which drops keyword arguments by default.
        return _rebuild, (type(self), self.message, self.file, self.channel, self.place)


class TrainingError(RuntimeError):
    """Training failed, for example because the loss is NaN. The message gives the step and what to try."""


def _rebuild(kind, message, file, channel, place):
    return kind(message, file=file, channel=channel, place=place)
