"""Labels of windows: from marks, tables and the challenge's targets to one value a window."""
