"""Ranges of numbers in the notation of intervals, such as "[0, 1)"."""


def check(name, value, interval):
    """Refuse a number, or a tuple that holds one, outside of an interval.

    Args:
        name: What it is called in the message.
        value: Number, tuple of numbers, or None, which passes.
        interval: Such as "[0, 1)"; "[" and "]" include the bound, "(" and ")" exclude it; "inf" is no bound.

    Raises:
        ValueError: It lies outside.
    """
    low, high = (float(bound) for bound in interval[1:-1].split(","))
    for number in value if isinstance(value, tuple) else (value,):
        if number is None:
            continue
        above = low <= number if interval[0] == "[" else low < number
        below = number <= high if interval[-1] == "]" else number < high
        if not (above and below):
            raise ValueError(f"{name} must {_in_words(interval, low, high)}. Received: {number}.")


def _in_words(interval, low, high):
    if high == float("inf"):
        return f"be at least {low:g}" if interval[0] == "[" else f"be above {low:g}"
    return f"lie in {interval}"
