import pytest

from kamal_dev.devcontainer.mount_options import definition, parse, parse_short, volume
from kamal_dev.model import Location

HERE = Location("f.json", 3, 5)


def long_form(read, text):
    mount, notices = read(text, HERE)
    assert mount.where == HERE
    assert notices == ()
    return volume(mount)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("source=data,target=/d,type=volume", {"type": "volume", "source": "data", "target": "/d"}),
        ("src=data,dst=/d", {"type": "volume", "source": "data", "target": "/d"}),
        ("type=volume,destination=/d", {"type": "volume", "target": "/d"}),
        (
            "type=bind,source=/a,target=/b,readonly,consistency=cached",
            {"type": "bind", "source": "/a", "target": "/b", "read_only": True, "consistency": "cached"},
        ),
        ("type=bind,source=/a,target=/b,ro=false", {"type": "bind", "source": "/a", "target": "/b"}),
        (
            "type=bind,src=/a,dst=/b,bind-propagation=rshared",
            {"type": "bind", "source": "/a", "target": "/b", "bind": {"propagation": "rshared"}},
        ),
        ('type=bind,"source=/a,b",target=/c', {"type": "bind", "source": "/a,b", "target": "/c"}),
        (
            "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770",
            {"type": "tmpfs", "target": "/t", "tmpfs": {"size": "1m", "mode": 0o1770}},
        ),
        (
            "type=volume,source=v,target=/v,volume-nocopy,volume-subpath=x, ",
            {"type": "volume", "source": "v", "target": "/v", "volume": {"nocopy": True, "subpath": "x"}},
        ),
        (
            {"type": "bind", "source": "/a", "target": "/b", "readOnly": True},
            {"type": "bind", "source": "/a", "target": "/b", "read_only": True},
        ),
        ({"target": "/home/x", "source": None}, {"type": "volume", "target": "/home/x"}),
    ],
)
def test_mounts_become_composes_long_form(written, read):
    assert long_form(parse, written) == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("data:/d", {"type": "volume", "source": "data", "target": "/d"}),
        ("/anonymous", {"type": "volume", "target": "/anonymous"}),
        ("/anonymous:ro", {"type": "volume", "target": "/anonymous", "read_only": True}),
        ("data:/d:rw,nocopy", {"type": "volume", "source": "data", "target": "/d", "volume": {"nocopy": True}}),
        (
            "./x:/x:ro,Z,cached,rslave",
            {
                "type": "bind",
                "source": "./x",
                "target": "/x",
                "read_only": True,
                "bind": {"create_host_path": True, "selinux": "Z", "propagation": "rslave"},
                "consistency": "cached",
            },
        ),
        ("~/.ssh:/s", {"type": "bind", "source": "~/.ssh", "target": "/s", "bind": {"create_host_path": True}}),
    ],
)
def test_short_volumes_become_composes_long_form(written, read):
    assert long_form(parse_short, written) == read


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("", "has no `target`"),
        ("type=bind,source=/a", "has no `target`"),
        ("type=bind,target=/a", "is of type bind and has no `source`"),
        ("type=tmpfs,source=a,target=/a", "is of type tmpfs and has a `source`"),
        ("type=nfs,target=/a", "has the type `nfs`: expected one of bind, volume, tmpfs, image, npipe, cluster"),
        ("/a:/b", "has `/a:/b` without a value: expected `type=…,source=…,target=…`"),
        ('"source=/a', "is not a list of `key=value`: unexpected end of data"),
        ({"target": ["/a"]}, "has a `target` that is not a string"),
        ({"source": "a"}, "has no `target`"),
    ],
)
def test_mounts_that_no_engine_takes_are_refused(written, reason):
    with pytest.raises(ValueError) as caught:
        parse(written, HERE)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("written", "reason"),
    [("", "has no `target`"), ("a:/b:ro:x", "has more than three parts: expected `source:target:modes`")],
)
def test_short_volumes_that_no_engine_takes_are_refused(written, reason):
    with pytest.raises(ValueError) as caught:
        parse_short(written, HERE)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("read", "written"),
    [
        (parse, "source=,target=/agent,type=bind"),
        (parse, {"type": "bind", "source": "", "target": "/agent"}),
        (parse_short, ":/agent"),
        (parse_short, ":/agent:ro"),
    ],
)
def test_a_bind_of_a_variable_that_is_not_set_is_left_out_and_said(read, written):
    mount, (notice,) = read(written, HERE)
    assert mount is None
    assert str(notice) == "f.json:3: the source of the mount at `/agent` is empty on this machine: the mount is skipped"


def test_options_without_a_place_become_notices():
    _, notices = parse("type=bind,source=/a,target=/b,bind-recursive=disabled", HERE)
    assert [str(notice) for notice in notices] == [
        "f.json:3: `bind-recursive` of this mount has no equivalent in Compose"
    ]
    _, notices = parse_short("data:/d:z,wat", HERE)
    assert [notice.message for notice in notices] == [
        "`z` of this volume has no equivalent in Compose",
        "`wat` of this volume has no equivalent in Compose",
    ]


def test_drivers_options_and_labels_go_to_the_volumes_definition():
    mount, _ = parse(
        "source=v,target=/v,volume-driver=local,volume-opt=type=nfs,volume-opt=o=addr,volume-label=a=b", HERE
    )
    assert definition(mount) == {"driver": "local", "driver_opts": {"type": "nfs", "o": "addr"}, "labels": {"a": "b"}}
    assert volume(mount) == {"type": "volume", "source": "v", "target": "/v"}
