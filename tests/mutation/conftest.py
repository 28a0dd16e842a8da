import pytest
from mutation.folders import make


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """A folder with texts and two runs that have more to learn; nobody may change it."""
    folder = tmp_path_factory.mktemp("mutation")
    make(folder)
    return folder
