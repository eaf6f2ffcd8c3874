"""Which host a stack gets: where it is found, else the fittest one; decided from what is on the hosts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamal_dev.errors import HostUnreachable, NoAnswer
from kamal_dev.model import Host
from kamal_dev.plan.placement import HostContents, Placement, PlacementRules, at, natural, place, size

GB = 1 << 30
NAMES = [f"app-{index}" for index in range(1, 13)]


def machine(number: int) -> Host:
    return Host(f"10.0.0.{number}", f"10.0.0.{number}", "root")


def on(number: int, *stacks: str, is_silent: bool = False, memory: int = 8, cpus: int = 4) -> HostContents:
    error = HostUnreachable(f"10.0.0.{number}", "no route to host") if is_silent else None
    return HostContents(machine(number), stacks, memory * GB, cpus, 100 * GB, error)


def down(number: int, *stacks: str) -> HostContents:
    """A host that does not answer, but whose stacks the provider knows."""
    services = dict.fromkeys(stacks, "app")
    return HostContents(machine(number), stacks, 8 * GB, 4, error=NoAnswer("", "the node is down"), services=services)


def closed(number: int, *stacks: str) -> HostContents:
    return HostContents(machine(number), stacks, 8 * GB, 4, 100 * GB, closed="is drained")


def shown(placement: Placement) -> str:
    """Return `app-1@1 app-2@2!`, the last part of the address, and `!` for those without a host."""
    hosts = {name: f"@{host.address[-1]}" for name, host in placement.hosts.items()}
    return " ".join(
        f"{name}{where}" for name, where in sorted({**hosts, **dict.fromkeys(placement.errors, "!")}.items())
    )


@pytest.mark.parametrize(
    ("contents", "rules", "names", "expected"),
    [
        # Without anything on the hosts, the n-th stack gets the n-th host, and then it starts again.
        ((on(1), on(2)), PlacementRules(1), NAMES[:2], "app-1@1 app-2@2"),
        ((on(1), on(2)), PlacementRules(2), NAMES[:4], "app-1@1 app-2@2 app-3@1 app-4@2"),
        ((on(1), on(2)), PlacementRules(2, packs=True), NAMES[:3], "app-1@1 app-2@1 app-3@2"),
        # What is there stays, wherever it is.
        ((on(1, "app-2"), on(2, "app-1")), PlacementRules(1), NAMES[:2], "app-1@2 app-2@1"),
        ((on(1, "app-1", "app-2", "app-3"), on(2)), PlacementRules(2), NAMES[:4], "app-1@1 app-2@1 app-3@1 app-4@2"),
        # Stacks of others take room.
        ((on(1, "blog-1", "blog-2"), on(2)), PlacementRules(3), NAMES[:2], "app-1@2 app-2@2"),
        ((on(1, "blog-1", "blog-2"), on(2)), PlacementRules(3, packs=True), NAMES[:2], "app-1@1 app-2@2"),
        ((on(1, "blog-1"), on(2, "blog-2")), PlacementRules(1), NAMES[:1], "app-1!"),
        # A host that does not answer may have what is not found; what is found goes on.
        ((on(1, "app-1"), on(2, is_silent=True)), PlacementRules(9), NAMES[:2], "app-1@1 app-2!"),
        # Each stack takes its part of a host.
        (
            (on(1, memory=8), on(2, memory=16)),
            PlacementRules(9, memory=8 * GB),
            NAMES[:4],
            "app-1@1 app-2@2 app-3@2 app-4!",
        ),
        (
            (on(1, cpus=1), on(2, cpus=2)),
            PlacementRules(9, cpus=0.5),
            NAMES[:6],
            "app-1@1 app-2@2 app-3@1 app-4@2 app-5@2 app-6@2",
        ),
        ((on(1), on(2)), PlacementRules(9, disk=101 * GB), NAMES[:1], "app-1!"),
        # Of a stack on two hosts, the first counts.
        ((on(1), on(2, "app-1"), on(3, "app-1")), PlacementRules(9), NAMES[:1], "app-1@2"),
        ((), PlacementRules(9), NAMES[:1], "app-1!"),
    ],
)
def test_a_stack_gets_its_host(
    contents: tuple[HostContents, ...], rules: PlacementRules, names: list[str], expected: str
) -> None:
    assert shown(place(names, contents, rules)) == expected


@pytest.mark.parametrize(
    ("contents", "names", "expected"),
    [
        # A closed host keeps its stacks and gets no new ones.
        ((closed(1, "app-1"), on(2)), NAMES[:3], "app-1@1 app-2@2 app-3@2"),
        ((closed(1), closed(2)), NAMES[:1], "app-1!"),
        # The stacks of a host that is down are known, so others can be created elsewhere.
        ((down(1, "app-1"), on(2)), NAMES[:2], "app-1! app-2@2"),
        ((down(1), on(2)), NAMES[:1], "app-1@2"),
        ((down(1), down(2)), NAMES[:1], "app-1!"),
        # What a host answers counts more than what is known of another.
        ((down(1, "app-1"), on(2, "app-1")), NAMES[:1], "app-1@2"),
        # If nobody knows what is on one of them, nothing new is created.
        ((down(1, "app-1"), on(2, is_silent=True), on(3)), NAMES[:2], "app-1! app-2!"),
    ],
)
def test_hosts_that_take_no_new_stacks(contents: tuple[HostContents, ...], names: list[str], expected: str) -> None:
    assert shown(place(names, contents, PlacementRules(9))) == expected


def test_why_no_host_takes_a_stack_is_said_of_a_few_hosts() -> None:
    contents = (closed(1), down(2), on(3, "a-1"), *(on(number, "a-1") for number in range(4, 100)))
    error = place(NAMES[:1], contents, PlacementRules(1)).errors["app-1"]
    assert str(error).startswith(
        "no host has room for app-1: 10.0.0.1 is drained; 10.0.0.2 does not answer; 10.0.0.3 has 1 of 1 stacks;"
    )
    assert str(error).endswith("; 91 others have none either")
    lost = place(NAMES[:1], (down(1, "app-1"), on(2)), PlacementRules(1)).errors["app-1"]
    assert str(lost) == "app-1 is on a host that does not answer: the node is down"


def new(number: int, memory: int = 8) -> HostContents:
    return HostContents(Host(f"host-{number}.app", ""), (), memory * GB, 4, 100 * GB)


def created(placement: Placement) -> dict[str, str]:
    """Return the last part of the address of each host, and the names of those that are created."""
    return {**{name: host.address[-1] for name, host in placement.hosts.items()}, **placement.created}


@pytest.mark.parametrize(
    ("contents", "rules", "names", "expected"),
    [
        ((), PlacementRules(4), NAMES[:8], "1 1 1 1 2 2 2 2"),
        ((), PlacementRules(4, packs=True), NAMES[:5], "1 1 1 1 2"),
        # What exists is filled first, and what is there stays.
        ((on(9, "app-2"),), PlacementRules(2), NAMES[:4], "9 9 1 1"),
        ((on(9, "app-1", "blog-1"),), PlacementRules(2), NAMES[:2], "9 1"),
        # A new host takes as many as its size allows.
        ((), PlacementRules(9, memory=4 * GB), NAMES[:3], "1 1 2"),
        # Nobody knows what is on one of them: nothing is created.
        ((on(8, "app-1"), on(9, is_silent=True)), PlacementRules(1), NAMES[:2], "8 !"),
    ],
)
def test_hosts_are_created_once_no_other_has_room(
    contents: tuple[HostContents, ...], rules: PlacementRules, names: list[str], expected: str
) -> None:
    placement = place(names, contents, rules, creatable=map(new, range(1, 100)))
    numbers = {name: host.removeprefix("host-").removesuffix(".app") for name, host in created(placement).items()}
    assert " ".join(numbers.get(name, "!") for name in names) == expected
    assert not {*placement.created} & {*placement.new}


def test_a_host_that_would_be_too_small_is_not_created() -> None:
    placement = place(NAMES[:2], (), PlacementRules(2, memory=9 * GB), creatable=map(new, range(1, 100)))
    assert (placement.created, placement.hosts) == ({}, {})
    assert str(placement.errors["app-1"]) == (
        "no host has room for app-1: a new host has 8 GB of memory, and 1 x 9 GB are needed"
    )
    chosen = place(NAMES[:2], (on(1),), PlacementRules(1), on="10.0.0.1", creatable=map(new, range(1, 100)))
    assert [*chosen.hosts, *chosen.errors] == ["app-1", "app-2"]


@given(
    st.lists(st.sets(st.sampled_from(NAMES)), max_size=3),
    st.sets(st.sampled_from(NAMES)),
    st.integers(1, 4),
    st.booleans(),
)
def test_no_more_hosts_are_created_than_needed(
    existing: list[set[str]], names: set[str], most: int, packs: bool
) -> None:
    contents = tuple(on(number, *sorted(stacks)) for number, stacks in enumerate(existing, 1))
    placement = place(names, contents, PlacementRules(most, packs), creatable=map(new, range(1, 100)))
    assert not placement.errors
    counts = [list(placement.created.values()).count(name) for name in {*placement.created.values()}]
    assert all(count <= most for count in counts)
    assert sum(count < most for count in counts) <= 1, "only the last one has room left"
    if counts:
        full = {host.address: len(stacks) for host, stacks in ((machine(n), s) for n, s in enumerate(existing, 1))}
        for name in placement.new:
            full[placement.hosts[name].address] += 1
        assert all(count >= most for count in full.values()), "hosts that exist are filled first"


def test_the_host_of_a_new_stack_can_be_chosen_even_if_another_does_not_answer() -> None:
    contents = (on(1), on(2, is_silent=True), on(3, "app-1"))
    assert shown(place(NAMES[:2], contents, PlacementRules(2), on="10.0.0.3")) == "app-1@3 app-2@3"
    assert shown(place(NAMES[:3], contents, PlacementRules(2), on="10.0.0.3")) == "app-1@3 app-2@3 app-3!"
    assert shown(place(NAMES[:2], contents, PlacementRules(2), on="10.0.0.2")) == "app-1@3 app-2!"


def test_a_refusal_says_what_each_host_lacks() -> None:
    refused = place(NAMES[:1], (on(1, "blog-1"), on(2, memory=3)), PlacementRules(1, memory=4 * GB)).errors["app-1"]
    assert str(refused) == (
        "no host has room for app-1: 10.0.0.1 has 1 of 1 stacks; 10.0.0.2 has 3 GB of memory, and 1 x 4 GB are needed"
    )
    silent = place(NAMES[:1], (on(1), on(2, is_silent=True)), PlacementRules(1)).errors["app-1"]
    assert silent.message == "app-1 was not placed: 10.0.0.2 does not answer, and may have it: no route to host"
    assert silent.hint.endswith("`dev deploy app-1 --on ADDRESS`")


@st.composite
def hosts(draw: st.DrawFn) -> list[HostContents]:
    """Return up to five hosts with some of the stacks, each on one of them."""
    count = draw(st.integers(1, 5))
    homes = {name: draw(st.integers(0, count)) for name in (*NAMES, "blog-1", "blog-2")}
    return [on(number, *(name for name, home in homes.items() if home == number)) for number in range(1, count + 1)]


RULES = st.builds(PlacementRules, st.integers(1, 6), st.booleans())
CHOSEN = st.lists(st.sampled_from(NAMES), unique=True)


@given(hosts(), RULES, CHOSEN)
def test_no_host_gets_more_than_it_takes_and_every_stack_one_host_or_a_reason(
    contents: list[HostContents], rules: PlacementRules, names: list[str]
) -> None:
    placement = place(names, contents, rules)
    assert {*placement.hosts} | {*placement.errors} == {*names}
    assert not {*placement.hosts} & {*placement.errors}
    found = {name: at(item.host, name) for item in contents for name in item.stacks}
    assert {name: host for name, host in placement.hosts.items() if name in found} == {
        name: found[name] for name in names if name in found
    }
    assert {*placement.new} == {name for name in placement.hosts if name not in found}
    for item in contents:
        new = [name for name in placement.new if placement.hosts[name] == at(item.host, name)]
        assert len(item.stacks) + len(new) <= max(rules.per_host, len(item.stacks))
    # A stack is refused only if there is no room left.
    room = sum(max(rules.per_host - len(item.stacks), 0) for item in contents)
    assert len(placement.new) == min(room, len({*names} - {*found}))


@given(hosts(), RULES, CHOSEN, st.randoms())
def test_the_order_does_not_matter_and_what_was_placed_is_found_again(
    contents: list[HostContents], rules: PlacementRules, names: list[str], random: object
) -> None:
    placement = place(names, contents, rules)
    reverse = place(names[::-1], contents, rules)
    assert (reverse.hosts, reverse.new, {*reverse.errors}) == (placement.hosts, placement.new, {*placement.errors})
    # With the hosts in another order, nothing that is there moves, now or after the deploy.
    after = [
        HostContents(
            item.host,
            (*item.stacks, *(name for name in placement.new if placement.hosts[name] == at(item.host, name))),
            item.memory,
            item.cpus,
            item.disk_free,
        )
        for item in contents
    ]
    random.shuffle(after)  # type: ignore[attr-defined]
    again = place(names, after, rules)
    assert again.hosts == placement.hosts
    assert again.new == ()


@given(hosts(), CHOSEN, st.integers(0, 4))
def test_nothing_new_is_placed_while_a_host_does_not_answer(
    contents: list[HostContents], names: list[str], number: int
) -> None:
    silent = contents[number % len(contents)]
    others = [item for item in contents if item is not silent]
    placement = place(names, [on(int(silent.host.address[-1]), is_silent=True), *others], PlacementRules(9))
    assert placement.new == ()
    assert {*placement.hosts} == {name for name in names for item in others if name in item.stacks}


def test_names_are_in_the_order_of_their_numbers() -> None:
    assert sorted(["app-10", "app-9", "app", "2-app", "app-1-2", "app-1-10"], key=natural) == [
        "2-app", "app", "app-1-2", "app-1-10", "app-9", "app-10",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("512", 512), ("4g", 4 * GB), ("1.5GB", 3 * GB // 2), ("2kb", 2048), ("3b", 3), ("256M", 256 << 20)],
)
def test_amounts_are_bytes(text: str, count: int) -> None:
    assert size(text) == count
