"""Languages of tracks: films name them by several lists, and each format has one of its own."""

from functools import cache

from langcodes import Language, standardize_tag
from langcodes.tag_parser import LanguageTagError


@cache
def bcp47(language: str) -> str:
    """As manifests and browsers have it (RFC 5646, 4.5: the shortest code, "de" for "deu" and
    "ger"); "" for what is no tag.
    """
    try:
        return standardize_tag(language) if language else ""
    except LanguageTagError:
        return ""


@cache
def iso639_2(language: str) -> str:
    """The three letters (terminologic) that MP4 has room for, "por" for "pt-BR"; "" for none."""
    try:
        return Language.get(language).to_alpha3() if language else ""
    except (LanguageTagError, LookupError):
        return ""


def is_spoken(language: str, wanted: str) -> bool:
    """Whether a track's language is the one that is `wanted`: "de" and "ger" are also "deu", and
    "pt" is also "pt-BR" (RFC 4647, 3.3.1). What is no tag has to be the same.
    """
    tag, range_ = bcp47(language).lower(), bcp47(wanted).lower()
    if not tag or not range_:
        return bool(language) and language.lower() == wanted.lower()
    return tag == range_ or tag.startswith(f"{range_}-")
