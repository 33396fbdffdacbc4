"""Languages by each of the lists that films and formats name them by."""

import pytest

from player.package.languages import bcp47, is_spoken, iso639_2


@pytest.mark.parametrize(
    ("language", "tag", "letters"),
    [  # ISO 639-2's bibliographic and terminologic codes, ISO 639-1, and tags of RFC 5646
        ("ger", "de", "deu"),
        ("deu", "de", "deu"),
        ("de", "de", "deu"),
        ("pt-BR", "pt-BR", "por"),
        ("chi", "zh", "zho"),
        ("gsw", "gsw", "gsw"),
        ("mul", "mul", "mul"),
        ("English", "", ""),
        ('en"><x', "", ""),
        ("", "", ""),
    ],
)
def test_a_language_as_each_format_has_it(language, tag, letters):
    assert (bcp47(language), iso639_2(language)) == (tag, letters)


@pytest.mark.parametrize(
    ("language", "wanted", "is_it"),
    [
        ("ger", "de", True),
        ("pt-BR", "por", True),
        ("pt", "pt-BR", False),
        ("den", "de", False),
        ("English", "english", True),
        ("", "de", False),
        ("deu", "", False),
    ],
)
def test_a_language_is_found_by_each_of_its_names(language, wanted, is_it):
    assert is_spoken(language, wanted) is is_it
