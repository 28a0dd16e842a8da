import math

from throughtime.verification import ComparisonOutcome, GradientCheck, Place, TensorCheck


def _place(index, automatic, differences, finding=ComparisonOutcome.AGREES, tensor="parameter w"):
    return Place(tensor, index, automatic, differences, 1e-12, finding)


RIGHT = TensorCheck("parameter w", (2, 3), (_place((0, 1), 2.0, 2.5), _place((1, 2), -3.0, -3.25)))
WRONG = TensorCheck(
    "inputs[0]",
    (4,),
    (
        _place((0,), 1.0, 1.0, tensor="inputs[0]"),
        _place((1,), 0.0, 9.0, ComparisonOutcome.KINK, "inputs[0]"),
        _place((2,), 1.0, 1.125, ComparisonOutcome.DIFFERS, "inputs[0]"),
        _place((3,), 1.0, 1.0625, ComparisonOutcome.UNSETTLED, "inputs[0]"),
        _place(None, 5.0, 7.0, ComparisonOutcome.DIFFERS, "inputs[0]"),
    ),
)


def test_a_tensor_sums_up_its_places():
    assert (RIGHT.elements, RIGHT.checked, RIGHT.largest_error, RIGHT.largest_derivative) == (6, 2, 0.5, 3.0)
    assert RIGHT.worst.index == (0, 1) and RIGHT.words == "agrees" and not RIGHT.failures
    assert (WRONG.elements, WRONG.checked, len(WRONG.kinks), len(WRONG.failures)) == (4, 3, 1, 3)
    assert WRONG.worst.index == (2,), "an element before a direction that is further off"
    assert WRONG.largest_error == 2.0 and WRONG.words == "2 WRONG, 1 UNSETTLED"


def test_a_missing_number_is_an_infinite_error():
    assert _place((0,), math.nan, 1.0).error == math.inf


def test_the_report_names_the_worst_failure_before_larger_errors_that_were_allowed():
    report = GradientCheck((RIGHT, WRONG), 1e-6)
    assert not report.ok and report.worst.index == (2,)
    assert report.sentence == (
        "inputs[0], element [2]: automatic differentiation gives 1, central differences 1.125 ± 1e-12. "
        "5 of 10 elements of 2 tensors compared, 3 comparisons failed."
    )


def test_the_table_has_a_line_for_each_tensor_and_says_what_was_left_out():
    lines = str(GradientCheck((RIGHT, WRONG), 1e-6, ("b", "c"), unnamed=2)).splitlines()
    assert lines[1].split() == ["parameter", "w", "2", "×", "3", "2", "of", "6", "3.00e+00", "5.0e-01", "agrees"]
    assert "3 of 4 and a direction" in lines[2] and lines[2].endswith("2 WRONG, 1 UNSETTLED")
    assert lines[3].startswith("At inputs[0], element [1]: the function has a kink")
    assert lines[4:6] == [
        "Not checked, as they ask for no gradient: b, c.",
        "Not checked: 2 other tensors that the function reads; name them in parameters.",
    ]


def test_a_report_without_failures_is_ok():
    report = GradientCheck((RIGHT,), 1e-4)
    assert report.ok and report.worst.index == (0, 1)
    assert report.sentence == "2 of 6 elements of 1 tensor compared: they agree with central differences to 0.0001."


def test_a_number_has_no_index_to_name():
    assert str(_place((), 1.0, 2.0)).startswith("parameter w, its only element: ")
