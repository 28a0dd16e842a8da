import pytest

from throughtime.data.formats.roles import ArrayRole, part_of, role_of


@pytest.mark.parametrize(
    ("name", "role", "part"),
    [
        ("x", "x", ""),
        ("X", "x", ""),
        ("Data", "x", ""),
        ("values", "x", ""),
        ("y", "y", ""),
        ("labels", "y", ""),
        ("lengths", "lengths", ""),
        ("starts", "starts", ""),
        ("ids", "ids", ""),
        ("x_train", "x", "train"),
        ("XTrain", "x", "train"),
        ("YTest", "y", "test"),
        ("traindata", "x", "train"),
        ("validdata", "x", "valid"),
        ("validation_labels", "y", "valid"),
        ("val", "x", "valid"),
        ("train", "x", "train"),
        ("training-ids", "ids", "train"),
        ("lengths test", "lengths", "test"),
        ("", "", ""),
        ("value", "x", ""),
        ("latest", "", ""),
        ("trainer", "", ""),
        ("xx", "", ""),
    ],
)
def test_a_name_tells_role_and_part(name, role, part):
    assert role_of(name) == ArrayRole(role, part)


@pytest.mark.parametrize(
    ("stem", "part"),
    [
        ("X_TRAIN", "train"),
        ("a-test", "test"),
        ("my valid", "valid"),
        ("train", "train"),
        ("a_validation", "valid"),
        ("latest", ""),
        ("a_tests", ""),
        ("train_1", ""),
        ("", ""),
    ],
)
def test_the_end_of_a_files_name_tells_its_part(stem, part):
    assert part_of(stem) == part
