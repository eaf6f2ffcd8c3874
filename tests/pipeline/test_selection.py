"""Which stacks and services the words of a command line mean."""

from __future__ import annotations

import pytest

from kamal_dev.errors import UsageError
from kamal_dev.pipeline.run.names import Selection, restrict, select

STACKS = ("blog-1", "blog-2", "blog-10")
SERVICES = ("app", "db", "blog")


@pytest.mark.parametrize(
    ("words", "stacks", "services"),
    [
        ((), (), ()),
        (("blog-2",), ("blog-2",), ()),
        (("blog-10", "blog-1"), ("blog-1", "blog-10"), ()),
        (("blog-1*",), ("blog-1", "blog-10"), ()),
        (("*-[12]", "db"), ("blog-1", "blog-2"), ("db",)),
        (("db", "app", "db"), (), ("db", "app")),
        (("*",), STACKS, ()),
        (("blog",), (), ("blog",)),
    ],
)
def test_a_word_is_a_stack_or_a_service(
    words: tuple[str, ...], stacks: tuple[str, ...], services: tuple[str, ...]
) -> None:
    assert select(words, STACKS, SERVICES, "blog") == Selection(stacks, services)


def test_the_name_of_the_project_means_all_stacks_unless_a_service_has_it() -> None:
    assert select(("blog", "blog-1"), STACKS, ("app",), "blog") == Selection()
    assert select(("blog",), STACKS, ("blog",), "blog") == Selection(services=("blog",))


@pytest.mark.parametrize(
    ("word", "message", "hint"),
    [
        ("blog-3", "there is no stack or service `blog-3`", "did you mean `blog-2`?"),
        ("dbs", "there is no stack or service `dbs`", "did you mean `db`?"),
        ("web-*", "there is no stack or service `web-*`", "known: blog-1, blog-2, blog-10, app, db, both"),
        ("both", "`both` is a stack and a service", "use `--service both`, or the glob `[b]oth`"),
    ],
)
def test_a_word_that_is_neither_or_both_is_refused(word: str, message: str, hint: str) -> None:
    stacks = (*STACKS, "both") if word == "both" else STACKS
    with pytest.raises(UsageError) as refused:
        select((word,), stacks, ("app", "db", "both"))
    assert (refused.value.message, refused.value.hint.replace("blog-10`", "blog-2`")) == (message, hint)


def test_globs_choose_among_the_names_in_their_order() -> None:
    assert restrict(STACKS, ("*0", "blog-1")) == ("blog-1", "blog-10")
    with pytest.raises(UsageError, match=r"no stack `\*-3`"):
        restrict(STACKS, ("*-3",))
