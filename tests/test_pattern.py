"""A pattern that is compiled at its first use is the one that `re.compile` returns."""

import re
from importlib import import_module
from pkgutil import walk_packages

import pytest

import kamal_dev
from kamal_dev.pattern import pattern


def test_it_is_compiled_at_the_first_use_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    real = re.compile

    def noted(text: str, flags: int = 0) -> re.Pattern[str]:
        compiled.append(text)
        return real(text, flags)

    monkeypatch.setattr(re, "compile", noted)
    word = pattern(r"(?P<one>[a-z]+)!", re.IGNORECASE)
    assert compiled == []
    assert [word.sub("<\\g<one>>", "a! b!"), *word.findall("x! y!")] == ["<a> <b>", "x", "y"]
    assert [word.fullmatch(text) is None for text in ("no", "YES!")] == [True, False]
    assert len(compiled) == 3  # for fullmatch, sub and findall, from the cache of `re`
    assert (word.pattern, word.flags & re.IGNORECASE) == (r"(?P<one>[a-z]+)!", re.IGNORECASE)


def test_a_wrong_pattern_is_an_error_when_it_is_used() -> None:
    wrong = pattern("(")
    with pytest.raises(re.error):
        wrong.match("")


def test_an_attribute_that_no_pattern_has_is_an_error() -> None:
    with pytest.raises(AttributeError):
        pattern("a").matches  # type: ignore[attr-defined] # noqa: B018


def test_every_pattern_of_the_package_can_be_compiled() -> None:
    modules = (
        import_module(item.name)
        for item in walk_packages(kamal_dev.__path__, "kamal_dev.")
        if "__main__" not in item.name
    )
    held = [value for module in modules for value in vars(module).values() if isinstance(value, pattern)]
    assert len(held) > 80
    assert all(value.pattern is not None and value.groups >= 0 for value in held)
