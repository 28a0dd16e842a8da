import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from throughtime.data.text import (
    TextFile,
    TextVocabulary,
    begins_with_mark,
    characters,
    read_file,
    shipped_text,
    split,
    text_symbols,
)
from throughtime.errors import ArgumentError, InputFileError


def test_the_word_pydoc_stands_for_pythons_reference_in_the_order_of_its_topics(tmp_path, monkeypatch):
    from pydoc_data.topics import topics

    monkeypatch.chdir(tmp_path)
    text = read_file("pydoc").content.decode()
    first, second = sorted(topics)[:2]
    assert text == shipped_text()
    assert text.startswith(topics[first] + "\n" + topics[second])
    assert len(text) == sum(map(len, topics.values())) + len(topics) - 1


def test_a_file_named_pydoc_comes_before_the_shipped_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pydoc").write_text("my own")
    assert read_file("pydoc").content == b"my own"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "does not exist; give a text file, or the word pydoc"),
        (lambda path: path.mkdir(), "is a folder; give a text file"),
        (lambda path: path.write_bytes(b""), "is empty"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_way_out(tmp_path, make, said):
    path = tmp_path / "text.txt"
    make(path)
    with pytest.raises(InputFileError, match=said) as caught:
        read_file(str(path))
    assert str(path) in str(caught.value)


def test_the_identity_of_a_file_is_the_sha256_of_its_bytes():
    # The digest of "abc" is the first example of FIPS 180.
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert TextFile("x", b"abc").sha256 == expected


def test_characters_are_code_points_and_bytes_are_bytes():
    file = TextFile("x", "aé\U0001f600".encode())
    assert text_symbols(file, "characters", "utf-8").tolist() == [0x61, 0xE9, 0x1F600]
    assert text_symbols(file, "bytes", "utf-8").tolist() == list("aé\U0001f600".encode())


@pytest.mark.parametrize(
    ("content", "encoding", "said"),
    [
        (b"caf\xe9 au lait", "utf-8", "not text in utf-8 at byte 3.*`units` bytes"),
        (b"ab\0cd", "utf-8", "NUL characters.*`units` bytes"),
        (b"abc", "utf-16", "not text in utf-16.*`encoding`"),
    ],
)
def test_bytes_that_are_no_text_are_refused(content, encoding, said):
    with pytest.raises(InputFileError, match=said):
        text_symbols(TextFile("x", content), "characters", encoding)


def test_what_is_no_text_can_still_be_read_as_bytes():
    assert text_symbols(TextFile("x", b"\0\xff"), "bytes", "utf-8").tolist() == [0, 255]


def test_an_encoding_that_python_does_not_know_is_refused():
    with pytest.raises(ArgumentError, match="encoding is klingon; Python must know it"):
        text_symbols(TextFile("x", b"abc"), "characters", "klingon")


@settings(deadline=None, max_examples=50)
@given(st.text(min_size=1, max_size=40))
def test_any_text_comes_back_from_its_numbers(text):
    symbols = characters(text)
    vocabulary = TextVocabulary.of(symbols, "characters")
    codes = vocabulary.encode(symbols)
    assert set(codes.tolist()) == set(range(len(vocabulary)))
    assert vocabulary.decode(codes).decode("utf-8", "surrogatepass") == text


def test_a_vocabulary_of_bytes_knows_all_of_them():
    vocabulary = TextVocabulary.of(np.array([7, 200], dtype=np.uint32), "bytes")
    assert len(vocabulary) == 256
    assert vocabulary.decode(vocabulary.encode(np.array([200, 7], dtype=np.uint32))) == b"\xc8\x07"


def test_an_unknown_character_is_named():
    vocabulary = TextVocabulary.of(characters("abc"), "characters")
    assert vocabulary.unknown(characters("aäb")).tolist() == [False, True, False]
    with pytest.raises(ArgumentError, match=r"symbols hold 'ä' \(U\+00E4\), 'z' \(U\+007A\); the model never saw"):
        vocabulary.encode(characters("äbzä"))


def test_only_the_first_few_unknown_characters_are_named():
    vocabulary = TextVocabulary.of(characters("a"), "characters")
    assert vocabulary.describe(characters("bcdefgh"), most=2) == "'b' (U+0062), 'c' (U+0063) and 5 more"


def test_the_held_out_part_is_the_end_of_the_text():
    training, held_out = split(np.arange(37, dtype=np.uint32), 0.2)
    assert training.tolist() == list(range(30))
    assert held_out.tolist() == list(range(30, 37))


@pytest.mark.parametrize(("length", "share"), [(13, 0.1), (13, 0.95), (1, 0.5)])
def test_a_text_too_short_for_both_parts_is_refused(length, share):
    with pytest.raises(InputFileError, match=f"too short: of its {length} symbols"):
        split(np.zeros(length, dtype=np.uint32), share)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PAR1\xff\xfe", "is not text in utf-8, but Parquet: give a text file, or read the `units` bytes"),
        (b"\x1f\x8b\x08\x00", "is not text in utf-8, but gzip"),
        ("\ufeffword".encode("utf-16-le"), "is not text in utf-8, but UTF-16: give `encoding` utf-16"),
        (b"caf\xe9 ", "is not text in utf-8 at byte 3: give another `encoding`"),
    ],
)
def test_what_is_not_text_is_named_where_its_first_bytes_say_what_it_is(content, said):
    with pytest.raises(InputFileError, match=said):
        text_symbols(TextFile("a", content), "characters", "utf-8")


def test_standard_input_is_said_to_need_an_online_run():
    with pytest.raises(InputFileError, match="FILE is -, standard input, which only a run with `online` reads"):
        read_file("-")


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xef\xbb\xbf", "utf-8-sig"),
        (b"\xff\xfe", "utf-16"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
        (b"\xff\xfe\0\0", "utf-32"),
        (b"\0\0\xfe\xff", "utf-32-be"),
    ],
)
def test_a_byte_order_mark_is_no_character(mark, encoding):
    order = encoding if encoding[-2:] in ("le", "be") else {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(encoding)
    file = TextFile("f", mark + "é\ufeffx".encode(order or "utf-8"))
    assert text_symbols(file, "characters", encoding).tolist() == [0xE9, 0xFEFF, ord("x")]
    assert text_symbols(file, "bytes", encoding)[: len(mark)].tolist() == list(mark), "bytes are read as they are"


def test_it_is_told_whether_a_mark_was_left_out():
    marked, plain = TextFile("f", b"\xef\xbb\xbfword"), TextFile("f", b"word\xef\xbb\xbf")
    assert begins_with_mark(marked, "characters", "utf-8") and not begins_with_mark(marked, "bytes", "utf-8")
    assert not begins_with_mark(plain, "characters", "utf-8")


def test_a_text_in_utf_32_is_named():
    with pytest.raises(InputFileError, match="but UTF-32: give `encoding` utf-32"):
        text_symbols(TextFile("f", "\ufeffword".encode("utf-32-le")), "characters", "utf-8")


@pytest.mark.parametrize("encoding", ["utf\0", "hex", "", "undefined"])
def test_an_encoding_that_is_none_is_named(encoding):
    with pytest.raises(ArgumentError, match="encoding is .*Python must know it"):
        text_symbols(TextFile("f", b"word"), "characters", encoding)


@pytest.mark.parametrize(
    ("units", "points"), [("characters", ()), ("characters", (1, 1)), ("characters", (3, 2)), ("bytes", (1, 256))]
)
def test_a_vocabulary_out_of_order_is_refused(units, points):
    with pytest.raises(ArgumentError, match="vocabulary "):
        TextVocabulary(units, points)


def test_a_name_with_a_nul_character_is_refused():
    with pytest.raises(InputFileError, match="no file's name holds a NUL character"):
        read_file("a\0b")
