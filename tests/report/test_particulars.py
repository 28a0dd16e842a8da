from dataclasses import replace

from report.records_of import record

from throughtime.records import Outcome, Results
from throughtime.report.particulars import particulars


def test_every_entry_of_a_run_is_listed_under_its_heading():
    listed = particulars(record())
    assert list(listed) == ["Model", "Data", "Result", "Machine and kernel", "Versions"]
    assert listed["Model"] == {
        "cell": "lstm", "nonlinearity": "tanh", "hidden units": "13", "layers": "2", "embedding": "8",
        "dropout": "0.1", "parameters": "20,011",
    }  # fmt: skip
    assert listed["Data"]["units"] == "characters (utf-8)" and listed["Data"]["vocabulary"] == "8"
    assert listed["Data"]["uniform, unigram, bigram"] == "4.500, 3.100, 2.400"
    assert listed["Data"]["trained on"] == "99,991" and listed["Data"]["held out"] == "11,113"
    assert listed["Result"] == {
        "outcome": "finished", "updates": "900", "epochs": "3", "best loss": "1.8750 nats", "at update": "800",
        "last loss": "1.9000 nats", "speed": "51,000 characters/s", "time": "94 s",
    }  # fmt: skip
    assert listed["Machine and kernel"]["threads"] == "2"


def test_what_a_stream_or_a_run_that_was_stopped_early_lacks_is_marked():
    made = record()
    stream = replace(made.data, file="-", sha256="", encoding="")
    listed = particulars(replace(made, data=stream, outcome=Outcome.INTERRUPTED, results=Results()))
    assert listed["Data"]["file"] == "standard input" and listed["Data"]["SHA-256"].startswith("none: ")
    assert listed["Data"]["units"] == "characters"
    assert (listed["Result"]["best loss"], listed["Result"]["last loss"]) == ("–", "–")
    assert listed["Result"]["outcome"] == "interrupted"
