import pytest

from kamal_dev.devcontainer import forwarding
from kamal_dev.errors import DevcontainerError, UsageError


def shown(found):
    return [(port.shown, port.local) for port in found]


def test_numbers_are_the_container_s_own_and_names_those_that_it_sees(load):
    found = forwarding.forwarded(
        load({"image": "i", "forwardPorts": [3000, "db:5432", "127.0.0.1:8000", "9000", 3000]})
    )
    assert shown(found) == [("3000", 3000), ("db:5432", 5432), ("8000", 8000), ("9000", 9000)]
    assert found[0].target == "localhost:3000"


def test_a_published_port_is_opened_where_docker_would_have_it(load):
    said = {"image": "i", "appPort": [3000, "8080:80", "127.0.0.1:9000:90", "53:53/udp", "7000-7001:7000-7001"]}
    assert shown(forwarding.forwarded(load(said))) == [("3000", 3000), ("80", 8080), ("90", 9000)]


def test_compose_files_say_themselves_what_is_published(load):
    said = {"dockerComposeFile": "compose.yaml", "service": "app", "appPort": 3000}
    assert forwarding.forwarded(load(said)) == ()


def test_attributes_are_found_by_number_range_and_host(load):
    said = {
        "image": "i",
        "forwardPorts": [3000, 4005, "db:5432", 9],
        "portsAttributes": {
            "3000": {"label": "Web", "protocol": "https"},
            "4000-4010": {"label": "Range", "requireLocalPort": True},
            "db:5432": {"label": "Database"},
            "node.*": {"label": "a process"},
        },
        "otherPortsAttributes": {"label": "Other", "protocol": "tcp"},
    }
    found = forwarding.forwarded(load(said))
    assert [port.label for port in found] == ["Web", "Range", "Database", "Other"]
    assert [port.protocol for port in found] == ["https", "", "", ""]
    assert [port.is_exact for port in found] == [False, True, False, False]


def test_what_is_no_port_is_refused_with_its_place(load):
    with pytest.raises(DevcontainerError) as caught:
        forwarding.forwarded(load('{"image": "i",\n"forwardPorts": ["db", 0,\n70000, "a b:1"]}'))
    assert str(caught.value).splitlines() == [
        "devcontainer.json:2:18: forwardPorts.0: `db` is not a port",
        "devcontainer.json:2:24: forwardPorts.1: 0 is not a port: ports end at 65535",
        "devcontainer.json:3:1: forwardPorts.2: 70000 is not a port: ports end at 65535",
        "devcontainer.json:3:8: forwardPorts.3: `a b:1` is not a port",
    ]


@pytest.mark.parametrize(
    ("text", "target", "local"),
    [
        ("3000", "localhost:3000", 3000),
        ("8080:3000", "localhost:3000", 8080),
        ("db:5432", "db:5432", 5432),
        ("5433:db:5432", "db:5432", 5433),
    ],
)
def test_a_flag_names_local_port_host_and_port(load, text, target, local):
    found = forwarding.flagged(load({"image": "i"}), text)
    assert (found.target, found.local, found.is_exact) == (target, local, True)


@pytest.mark.parametrize("text", ["", "x", "0", "70000", "1:2:3:4", "-L:1", "3000:db", "70000:80", "a:b:1"])
def test_a_flag_that_is_no_port_is_refused(load, text):
    with pytest.raises(UsageError):
        forwarding.flagged(load({"image": "i"}), text)
