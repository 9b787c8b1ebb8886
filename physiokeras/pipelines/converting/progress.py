"""Progress of a conversion in records, hours and bytes."""

import time

from physiokeras.pipelines.converting.survey import duration


class Progress:
    """Reports each finished record in a line, with the time left as estimated from the remaining bytes.

    Args:
        found: list of `physiokeras.pipelines.converting.survey.Found`, the records to convert.
        say: Function that receives each line.
    """

    def __init__(self, found, say):
        self.found, self.say, self.start = found, say, time.monotonic()
        self.count, self.seconds, self.bytes = 0, 0.0, 0
        self.all_seconds, self.all_bytes = (sum(getattr(entry, key) for entry in found) for key in ("seconds", "bytes"))

    def done(self, number, outcome):
        """Count record `number` of `found` as finished; `outcome` describes the result in words."""
        entry = self.found[number]
        self.count += 1
        self.seconds += entry.seconds
        self.bytes += entry.bytes
        line = f"[{self.count}/{len(self.found)}] {entry.path.stem}: {outcome}"
        line += f"; {self.seconds / 3600:.1f} of {self.all_seconds / 3600:.1f} h"
        line += f", {self.bytes / 1e9:.2f} of {self.all_bytes / 1e9:.2f} GB"
        if self.bytes and self.count < len(self.found):
            left = (time.monotonic() - self.start) * (self.all_bytes / self.bytes - 1)
            line += f"; about {duration(left)} left"
        self.say(line)
