"""The installed version of the package."""

import importlib.metadata

try:
    __version__ = importlib.metadata.version("physiokeras")
except importlib.metadata.PackageNotFoundError:  # run from a checkout without installing
    __version__ = "0+unknown"
