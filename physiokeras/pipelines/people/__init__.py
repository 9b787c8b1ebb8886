"""Who was recorded: tables of people and of labels, and who is in which split."""
