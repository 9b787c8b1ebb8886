"""Words of messages."""


def counted(count, thing):
    """A number and what it counts: "1 window", "2 windows"; "people" for "person".

    Args:
        count: The number.
        thing: The singular.
    """
    if count == 1:
        return f"1 {thing}"
    return f"{count} {'people' if thing == 'person' else f'{thing}s'}"


def first_few(names, most=3):
    """The first few names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
