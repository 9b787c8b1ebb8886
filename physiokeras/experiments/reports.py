"""Reports of commands in Markdown, marked where the recordings are simulated."""

from physiokeras.files import write_atomic
from physiokeras.pipelines.prepared.joined_definition import SEPARATOR

CAUTION = "Simulated recordings: these numbers say nothing about people."


def is_simulated(manifest):
    """Whether any of the records are simulated, which every report of their numbers must say."""
    return "simulated" in manifest.definition["name"].split(SEPARATOR)


def note_of(manifest):
    """Note for the titles of figures: "simulated", or None where the recordings are real."""
    return "simulated" if is_simulated(manifest) else None


def publish(folder, parts, manifest):
    """Print paragraphs, and write them into the run's folder as `scores.md`.

    Args:
        folder: The run's folder.
        parts: list of texts.
        manifest: `Manifest`; where it is of simulated records, `CAUTION` is put first.
    """
    text = "\n\n".join([*([CAUTION] if is_simulated(manifest) else []), *parts])
    print(f"\n{text}\n\nEverything is in {folder}", flush=True)
    write_atomic(folder / "scores.md", text + "\n")
