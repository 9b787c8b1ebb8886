"""Upload a trained model to the Hugging Face Hub, with its probes, scores and card.

    physiokeras push --model runs/pretrain-1 --to hf://USER/NAME --license apache-2.0

The hub's token is that of `hf auth login`, or the environment variable HF_TOKEN. The address that is printed names the
commit: `physiokeras.load(ADDRESS)` and `--model ADDRESS` read exactly these files. A README.md in the run's folder
becomes the card's text.
"""

from dataclasses import dataclass

from physiokeras.experiments import exit_status
from physiokeras.experiments.backend import use
from physiokeras.experiments.settings import CommonSettings, read, setting


@dataclass(frozen=True)
class Settings(CommonSettings):
    """Settings of an upload: model and repository."""

    model: str = setting(
        help="run folder of the model and its probes, or the name of a preset", group="model", role="place",
        alias="run", holds="model",
    )  # fmt: skip
    to: str = setting(help="repository, hf://USER/NAME; created if missing", group="hub", role="place")
    license: str | None = setting(
        None, "licence of the weights, such as apache-2.0; none: the one that the model names", "hub", "result"
    )
    private: bool = setting(False, "make a new repository private", "hub", "result")


def main(argv=None):
    """Run the command.

    Returns: exit status.
    """
    settings = read(Settings, argv, prog="physiokeras push", description=__doc__.split("\n")[0])
    use(settings.backend)
    from physiokeras.scoring import push

    try:
        address = push(settings.model, settings.to, license=settings.license, private=settings.private)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    print(f"The model is {address}", flush=True)
    return 0


if __name__ == "__main__":
    exit_status.run(main)
