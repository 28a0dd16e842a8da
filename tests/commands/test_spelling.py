import pytest

from throughtime.commands._spelling import sentence_of, spelled, typed
from throughtime.errors import ArgumentError, RunFolderError

KNOWN = {"hidden_size", "epochs", "file"}


def test_options_begin_with_dashes_and_what_has_a_place_is_in_capitals():
    assert [typed(name) for name in ("hidden_size", "file", "run_or_data")] == ["--hidden-size", "FILE", "RUN or DATA"]


def test_only_arguments_of_the_command_are_spelled_as_they_are_typed():
    text = "give `epochs` above 3, not `keep_every`, and `a b` or `hidden_size` 2"
    assert spelled(text, KNOWN) == "give --epochs above 3, not `keep_every`, and `a b` or --hidden-size 2"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ArgumentError("hidden_size", "is 0", "it must be at least 1"), "--hidden-size is 0; it must be at least 1."),
        (ArgumentError("h_0", "is 0", "", "give `epochs`"), "h_0 is 0: give --epochs."),
        (ArgumentError("memory", "is 9 B; too little."), "memory is 9 B; too little."),
        (RunFolderError("`file` is gone; mind `epochs`"), "FILE is gone; mind --epochs."),
    ],
)
def test_an_error_is_one_sentence(error, said):
    assert sentence_of(error, KNOWN) == said
