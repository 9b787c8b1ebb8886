"""Models on the Hugging Face Hub: which files a repository may hold, and how they are downloaded and checked.

A repository has the layout of a run (see `saved_models`), a model card, and `checksums.json` with the SHA-256 of each
file that is read. Files for `keras.saving.load_model("hf://...")` lie beside it and are never read here.
"""

import json
import re
from pathlib import Path

from physiokeras.errors import DataError
from physiokeras.files import read_bounded, sha256

PREFIX = "hf://"
LISTING = "checksums.json"
FORMAT = "physiokeras repository 1"

KERAS = ("config.json", "metadata.json", "model.weights.h5")
"""Keras's own copy of the model."""

CARD = ("README.md", "LICENSE", ".gitattributes")
"""Files that are not read, so that they may be edited on the hub: they are not in the listing."""

LARGEST = {".json": 4 * 2**20, ".npz": 64 * 2**20, ".safetensors": 16 * 2**30}
"""Extension of a file that is read -> most bytes that it may have."""

_ADDRESS = re.compile(r"hf://(?P<repo>[\w-][\w.-]*/[\w-][\w.-]*)(@(?P<revision>[\w][\w./-]*))?")
_NAME = re.compile(r"([\w-][\w.-]*/)?[\w-][\w.-]*")
_COMMIT = re.compile("[0-9a-f]{40}")


def parsed(address: str) -> tuple[str, str]:
    """Repository and revision of an address such as "hf://user/name@main".

    Raises:
        ValueError: Another form.
    """
    found = _ADDRESS.fullmatch(address)
    if not found or found["repo"].startswith("datasets/"):
        raise ValueError(f"A model's address is hf://USER/NAME or hf://USER/NAME@REVISION. Received: {address}.")
    return found["repo"], found["revision"] or "main"


def package():
    """The package huggingface_hub.

    Raises:
        DataError: It is not installed.
    """
    try:
        import huggingface_hub
    except ImportError:
        raise DataError("models on the hub need huggingface_hub: pip install 'physiokeras[hub]'.") from None
    return huggingface_hub


def download(address: str) -> Path:
    """A model of the hub as a local folder, in the hub's cache; the commit that it comes from is printed.

    The names and sizes of all files are checked before anything is downloaded, and each file's SHA-256 afterwards. A
    file that differs is downloaded once more. Without a network, or with `HF_HUB_OFFLINE=1`, the cache is read.

    Args:
        address: "hf://user/name", or "hf://user/name@revision" with a branch, a tag or a commit.

    Returns: folder with the layout of a run, whose name is the commit.

    Raises:
        DataError: No such model, no network and none in the cache, or a file that is refused; the message names it.
    """
    repo, revision = parsed(address)
    commit = _commit(repo, revision, address)
    try:
        folder = _snapshot(repo, revision, local_files_only=commit is None)
        if commit and folder.name != commit:
            raise DataError("the revision changed during the download; repeat the command.", file=address)
        check(folder, address)
    except _Differs:
        if commit is None:
            raise
        folder = _snapshot(repo, commit, force_download=True)
        check(folder, address)
    except DataError:
        raise
    except Exception as error:  # see `_commit`
        what = "is not in the cache, and the hub was not reached" if commit is None else "was not downloaded whole"
        raise DataError(f"{what}: {_first_line(error)}", file=address) from error
    if not _COMMIT.fullmatch(revision):
        note = " (from the cache, since the hub was not reached)" if commit is None else ""
        print(f"{address} is now hf://{repo}@{folder.name}{note}", flush=True)
    return folder


class _Differs(DataError):
    """A file whose SHA-256 is not the listed one."""


def _commit(repo, revision, address):
    """The commit of a revision, whose files are allowed; None where the hub was not reached."""
    hub = package()
    try:
        info = hub.HfApi().model_info(repo, revision=revision, files_metadata=True)
    except (hub.errors.RepositoryNotFoundError, hub.errors.RevisionNotFoundError) as error:
        raise DataError(f"no such model, or a private one: {_first_line(error)}", file=address) from error
    except Exception:  # mostly of the HTTP client, whose errors are of no class that the hub's package names
        return None
    check_names({file.rfilename: file.size or 0 for file in info.siblings or ()}, address)
    return info.sha


def _snapshot(repo, revision, **options):
    return Path(
        package().snapshot_download(
            repo, revision=revision, ignore_patterns=list(KERAS), library_name="physiokeras", **options
        )
    )


def check_names(sizes: dict[str, int], address: str) -> None:
    """Refuse a repository that holds anything but arrays, JSON and a card.

    Args:
        sizes: Name of each file to its bytes.
        address: Where they lie, for messages.

    Raises:
        DataError: A name, a kind or a size that is not allowed.
    """
    for name, size in sorted(sizes.items()):
        if name in KERAS or name in CARD:
            continue
        if not _NAME.fullmatch(name):
            raise DataError(f"refused: a file named {name!r} would lie outside of the model's folder.", file=address)
        largest = LARGEST.get(Path(name).suffix)
        if largest is None:
            kinds = ", ".join(LARGEST)
            raise DataError(f"refused: it holds {name}; models consist of {kinds} and {', '.join(CARD)}.", file=address)
        if size > largest:
            raise DataError(f"refused: {name} has {size} bytes, more than any model's ({largest}).", file=address)


def check(folder: Path, address: str) -> None:
    """Refuse a downloaded folder that differs from its `checksums.json`.

    Args:
        folder: The folder.
        address: Where it comes from, for messages.

    Raises:
        DataError: No listing, one of another version, or a file that is missing, not listed or different.
    """
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    check_names({name: path.stat().st_size for name, path in found.items()}, address)
    listed = _listing(folder, address)
    for name in sorted(found.keys() - listed.keys() - {LISTING, *CARD}):
        raise DataError(f"refused: {name} is not listed in {LISTING}; push the model again.", file=address)
    for name in sorted(listed.keys() - set(KERAS)):
        if name not in found:
            raise DataError(f"{name} is missing, which {LISTING} lists; push the model again.", file=address)
        if sha256(found[name]) != listed[name]:
            raise _Differs(f"refused: the SHA-256 of {name} is not the one in {LISTING}.", file=address)


def write_listing(folder: Path) -> None:
    """Write `checksums.json` for all files of a folder that are read or that Keras reads."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    files = {name: sha256(folder / name) for name in names if name not in CARD}
    (folder / LISTING).write_text(json.dumps({"format": FORMAT, "files": files}, indent=1) + "\n", encoding="utf-8")


def _listing(folder, address):
    path = folder / LISTING
    if not path.is_file():
        raise DataError(f"no {LISTING}: no model that physiokeras pushed.", file=address)
    try:
        table = json.loads(read_bounded(path, LARGEST[".json"], LISTING))
        form, files = table["format"], dict(table["files"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(f"{LISTING} is damaged: {error!r}; push the model again.", file=address) from error
    if form != FORMAT:
        message = (
            f"its {LISTING} has the format {form!r}, this version reads {FORMAT!r}; install the version that made it."
        )
        raise DataError(message, file=address)
    return files


def _first_line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0]
