import pytest
from mutation.folders import make
from mutation.pictures import remember


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """A folder with texts and two runs that have more to learn; nobody may change it."""
    folder = tmp_path_factory.mktemp("mutation")
    make(folder)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _pictures_drawn_once():
    with pytest.MonkeyPatch.context() as patch:
        remember(patch)
        yield
