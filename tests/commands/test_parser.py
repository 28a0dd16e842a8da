import pytest

from throughtime.commands._parser import config_first, one_sentence, settings_of_run
from throughtime.errors import RunFolderError


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["train", "a.txt", "--epochs", "3"], ["train", "a.txt", "--epochs", "3"]),
        (["train", "--epochs", "3", "--config", "c.yaml"], ["train", "--config", "c.yaml", "--epochs", "3"]),
        (["train", "--epochs", "3", "--config=c.yaml"], ["train", "--config=c.yaml", "--epochs", "3"]),
        (
            ["train", "--config", "a", "x", "--config", "b", "--seed", "1"],
            ["train", "--config", "a", "--config", "b", "x", "--seed", "1"],
        ),
        (["train", "a.txt", "--config"], ["train", "a.txt", "--config"]),
        ([], []),
    ],
)
def test_a_config_is_moved_before_the_options(given, expected):
    assert config_first(given) == expected


def test_the_settings_of_a_run_are_read_from_its_folder(trained):
    for words in (["--seed", "1", "--resume", str(trained)], [f"--resume={trained}", "--config", "b"]):
        assert settings_of_run(["train", *words])["hidden_size"] == 7
    assert settings_of_run(["train", "x", "--resume"]) == settings_of_run(["sample", "x"]) == {}


def test_a_message_of_several_lines_becomes_one_sentence():
    assert one_sentence("Parser key \"cell\":\n  Expected a typing.Literal['a', 'b']. Got value: c") == (
        "--cell is c; it must be one of a, b."
    )
    optional = (
        'Parser key "lag":\n  Does not validate against any of the Union subtypes\n  Subtypes: [{}, {}]\n  Errors:\n'
    )
    optional = optional.format("<class 'int'>", "<class 'NoneType'>") + "    - Expected\n  Given value: 2.5"
    assert one_sentence(optional) == "--lag is 2.5; it must be a whole number."
    assert one_sentence("something\n  else.") == "something else; --help lists the options."


def test_what_is_missing_is_named_as_the_help_has_it():
    message = "the following arguments are required: diagnose.run_or_data"
    assert one_sentence(message) == "RUN or DATA is missing; --help lists the arguments."
    message = "the following arguments are required: evaluate.run, evaluate.file"
    assert one_sentence(message) == "RUN and FILE are missing; --help lists the arguments."


@pytest.mark.parametrize("content", [b"x: [1", b"\x00\xff", b"- a list"])
def test_the_config_of_a_run_to_go_on_with_is_named_where_it_is_damaged(trained, content):
    (trained / "config.yaml").write_bytes(content)
    with pytest.raises(RunFolderError, match="config.yaml is damaged"):
        settings_of_run(["train", "--resume", str(trained)])
    (trained / "config.yaml").unlink()
    with pytest.raises(RunFolderError, match=r"has no config.yaml"):
        settings_of_run(["train", "--resume", str(trained)])
