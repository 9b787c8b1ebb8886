"""Files of scores: sleep stages and events that people marked, in the time of a recording."""
