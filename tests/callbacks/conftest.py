import pytest
from trainings import train


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """Folder and outcome of a training that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, train(folder)
