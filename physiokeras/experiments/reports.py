"""What commands leave for people to read: Markdown, CSV, and the word "simulated" wherever it belongs."""

from physiokeras.files import write_atomic

CAUTION = "Simulated recordings: these numbers say nothing about people."


def is_simulated(manifest):
    """Whether the records are simulated, to be said wherever their numbers show."""
    return manifest.definition["name"] == "simulated"


def note_of(manifest):
    """Word for the titles of figures; None where the recordings are real."""
    return "simulated" if is_simulated(manifest) else None


def publish(folder, parts, manifest):
    """Print paragraphs, and keep them in the run's folder as `scores.md`.

    Args:
        folder: The run's folder.
        parts: list of texts.
        manifest: `Manifest`, which says whether they need a word of caution.
    """
    text = "\n\n".join([*([CAUTION] if is_simulated(manifest) else []), *parts])
    print(f"\n{text}\n\nEverything is in {folder}", flush=True)
    write_atomic(folder / "scores.md", text + "\n")
