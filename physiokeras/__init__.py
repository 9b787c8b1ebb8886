"""Foundation models of physiological signals in Keras 3."""


def __getattr__(name):
    if name == "__version__":
        from importlib import metadata  # takes most of the time of an import

        try:
            return metadata.version("physiokeras")
        except metadata.PackageNotFoundError:
            return "uninstalled"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
