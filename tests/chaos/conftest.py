import pytest
from chaos.series import Server, whole_run


@pytest.fixture(scope="session")
def server():
    running = Server()
    yield running
    running.close()


@pytest.fixture(scope="session")
def whole(server, tmp_path_factory):
    """Per kind of run, the folder of one that nothing disturbs."""
    made = {}

    def run(kind):
        if kind not in made:
            made[kind] = whole_run(server, tmp_path_factory.mktemp(kind), kind)
        return made[kind]

    return run
