"""config.load: every bad input is one clear message with its line."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamal_dev import config
from kamal_dev.errors import ConfigError
from kamal_dev.syntax.text import decode
from tests.bounds import within

PATH = "config/dev.yml"


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config.load(text, PATH, environment={})
    assert caught.value.exit_code == 2
    return str(caught.value).splitlines()


def problem(text: str) -> str:
    found = problems(text)
    assert len(found) == 1, found
    return found[0]


def at_once(text: str, seconds: float = 2.0) -> list[str]:
    with within(seconds):
        return problems(text)


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    assert problems(
        """\
service: Guestbook
sevice: x
image: ruby:3.2
registry:
  server: https://ghcr.io
  pasword_env: X
build:
  cache: {type: registr}
  secrets: [GEM, GEM]
vms: {count: 0}
service: y
password_env: X
"""
    ) == [
        "config/dev.yml:1: service: `Guestbook` must be lower-case letters and digits, joined by `-` or `_`",
        "config/dev.yml:2: sevice: unknown key; did you mean `service`?",
        "config/dev.yml:3: image.name: `ruby:3.2` has a tag or digest, but it names the image that is built and "
        "pushed, whose tag is the version; the image to build from belongs in devcontainer.json or the Dockerfile",
        "config/dev.yml:5: registry.server: `https://ghcr.io` must be a registry address: `ghcr.io`, "
        "`docker.io`, `registry.example.com:5000`, `localhost:5555`; no scheme, no path",
        "config/dev.yml:6: registry.pasword_env: unknown key; did you mean `password_env`?",
        "config/dev.yml:8: build.cache.type: must be one of `inline`, `registry`, `local`, `gha`, not `registr`; "
        "did you mean `registry`?",
        "config/dev.yml:9: build.secrets[1]: is listed twice",
        "config/dev.yml:10: vms.count: must be a whole number from 1 to 1000, not `0`",
        "config/dev.yml:11:1: `service` is already defined in line 1",
        "config/dev.yml:12: password_env: unknown key; it belongs under `registry`",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # The document as a whole.
        ("", "config/dev.yml:1: service: is required"),
        ("# nothing\n", "config/dev.yml:1: service: is required"),
        ("null\n", "config/dev.yml:1: service: is required"),
        ("service:\n", "config/dev.yml:1: service: is required"),
        ("- a\n", "config/dev.yml:1: must be a mapping of options, not a list"),
        ("just text\n", "config/dev.yml:1: must be a mapping of options, not the text `just text`"),
        ("service: a\n---\nservice: b\n", "config/dev.yml:2:1: has a second document (`---`); only one is allowed"),
        ("service: a\nssh:\n\tuser: x\n", "config/dev.yml:3:1: has a tab where YAML requires spaces"),
        ("service: 'a\n", "config/dev.yml:2:1: is not YAML: found unexpected end of stream"),
        ("service: a\n  b: c\n", "config/dev.yml:2:4: is not YAML: mapping values are not allowed here"),
        ("service: a\nx: \x00\n", "config/dev.yml:2: contains the control character U+0000"),
        ("service: a\nx: \x1b[31m\n", "config/dev.yml:2: contains the control character U+001B"),
        ("%YAML 1.3\n---\na: 1\n", "config/dev.yml: is not YAML: version minor part can only be 2 or 1, got (1, 3)"),
        ("service: *a\n", "config/dev.yml:1:10: the alias `*a` has no anchor before it"),
        ("x-a: &a [*a]\n", "config/dev.yml:1:10: the alias `*a` is inside of what it refers to"),
        # Keys.
        ("service: a\n1: b\n", "config/dev.yml:2: 1: unknown key"),
        ("service: a\n? [b]\n: c\n", "config/dev.yml:2:3: a key must be text"),
        ("service: a\n\u202ecba: 1\n", "config/dev.yml:2: \\u202ecba: unknown key"),
        ("service: a\n<<: b\n", "config/dev.yml:2: <<: can merge mappings only, not the text `b`"),
        ("service: a\nssh: [b]\n", "config/dev.yml:2: ssh: must be a mapping, not a list"),
        ("service: a\nimage: [b]\n", "config/dev.yml:2: image: must be text or a mapping, not a list"),
        # Types.
        ("service: 12\n", "config/dev.yml:1: service: must be a name, not the number `12`; put it in quotes"),
        ("service: [a]\n", "config/dev.yml:1: service: must be a name, not a list"),
        ("service: !!python/object:o a\n", "config/dev.yml:1:10: the tag `!!python/object:o` is not allowed"),
        ("service: !!str {a: b}\n", "config/dev.yml:1: service: must be a name, not a value with a tag"),
        ("service: a\nssh: {config: yes}\n", "config/dev.yml:2: ssh.config: must be true or false, not the text `yes`"),
        (
            "service: a\nssh: {port: '22'}\n",
            "config/dev.yml:2: ssh.port: must be a whole number from 1 to 65535, not the text `22`",
        ),
        ("service: a\nsecrets: A\n", "config/dev.yml:2: secrets: must be a list, each item a variable name"),
        ("service: a\nbuild: {args: [A]}\n", "config/dev.yml:2: build.args: must be a mapping of names to text, not a"),
        (
            "service: a\nbuild: {args: {A: [1]}}\n",
            "config/dev.yml:2: build.args.A: must be text, a number or a boolean, not a list",
        ),
        (
            "service: a\nbuild: {args: {A: }}\n",
            "config/dev.yml:2: build.args.A: must be text, a number or a boolean, not",
        ),
        ("service: a\nbuild: {args: {A B: 1}}\n", "config/dev.yml:2: build.args: `A B` is not a name"),
        (
            "service: a\nbuild: {cache: registry}\n",
            "config/dev.yml:2: build.cache: must be true, false or a mapping with `type`, not the text `registry`",
        ),
        (
            "service: a\nbuild: {cache: {mode: max}}\n",
            "config/dev.yml:2: build.cache.type: is required: one of `inline`, `registry`, `local`, `gha`",
        ),
        (
            "service: a\nbuild: {cache: {type: registry, ref: 'a,b'}}\n",
            "config/dev.yml:2: build.cache.ref: must have no comma, quote or line break",
        ),
        ("service: a\nbuild: {cache: {type: gha, X Y: 1}}\n", "config/dev.yml:2: build.cache: `X Y` is not a name"),
        # Values.
        ("service: a--_b\n", "config/dev.yml:1: service: `a--_b` must be lower-case letters and digits, joined by"),
        ("service: \u202eabc\n", "config/dev.yml:1: service: `\\u202eabc` must be lower-case letters and digits"),
        (f"service: {'a' * 200}\n", "config/dev.yml:1: service: makes the name `aaa"),
        (f"service: {'a' * 2000}\n", "config/dev.yml:1: service: is longer than 1024 characters"),
        (
            "service: a\nvms: {count: -1}\n",
            "config/dev.yml:2: vms.count: must be a whole number from 1 to 1000, not `-1`",
        ),
        (
            "service: a\nvms: {count: 10000}\n",
            "config/dev.yml:2: vms.count: must be a whole number from 1 to 1000, not `10000`",
        ),
        (
            f"service: a\nvms: {{count: {'9' * 5000}}}\n",
            "config/dev.yml:2: vms.count: must be a whole number from 1 to",
        ),
        (
            "service: a\nvms: {count: 1.5}\n",
            "config/dev.yml:2: vms.count: must be a whole number from 1 to 1000, not the",
        ),
        (
            "service: a\ndeploy: {window: .inf}\n",
            "config/dev.yml:2: deploy.window: must be a number from 1 to 3600, not",
        ),
        (
            "service: a\ndeploy: {window: 9, timeout: 9}\n",
            "config/dev.yml:2: deploy.window: `window` (9 s) must be shorter than `timeout` (9 s)",
        ),
        (
            "service: a\ndeploy: {timeout: 3}\n",
            "config/dev.yml:2: deploy.timeout: `window` (5 s) must be shorter than `timeout` (3 s)",
        ),
        ("service: a\nssh: {user: '-oProxyCommand=x'}\n", "config/dev.yml:2: ssh.user: `-oProxyCommand=x` must be a"),
        ("service: a\nssh: {proxy_jump: '-x'}\n", "config/dev.yml:2: ssh.proxy_jump: `-x` must be `user@address:port`"),
        ("service: a\nssh: {keys: ['']}\n", "config/dev.yml:2: ssh.keys[0]: `` must be the path to a private key"),
        (
            "service: a\nssh: {known_hosts: of}\n",
            "config/dev.yml:2: ssh.known_hosts: must be one of `accept-new`, `strict`, `off`, not `of`; did"
            " you mean `off`?",
        ),
        ("service: a\ndefaults: {cpus: 0}\n", "config/dev.yml:2: defaults.cpus: `0` must be a number of CPUs above 0"),
        (
            "service: a\ndefaults: {memory: lots}\n",
            "config/dev.yml:2: defaults.memory: `lots` must be an amount of memory",
        ),
        (
            "service: a\ndefaults: {memory: [1]}\n",
            "config/dev.yml:2: defaults.memory: must be an amount, not a list",
        ),
        (
            "service: a\nprovider: {type: swarm, manager: a}\nengine: swarm-stack\nlifetime:\n  ttl: 8h\n",
            "config/dev.yml:5: lifetime.ttl: does not work with `engine: swarm-stack`",
        ),
        (
            "service: a\nengine: swarm-stack\n",
            "config/dev.yml:2: engine: `swarm-stack` requires `provider.type` `swarm`, not `docker`",
        ),
        (
            "service: a\nprovider:\n  type: swarm\n",
            "config/dev.yml:3: provider.manager: is required",
        ),
        (
            "service: a\nprovider:\n  type: swarm\n  manager: []\n",
            "config/dev.yml:4: provider.manager: must be `user@address:port` or a mapping with `address`, not a list",
        ),
        (
            "service: a\nprovider:\n  type: swarm\n  manager: {user: x}\n",
            "config/dev.yml:4: provider.manager.address: is required",
        ),
        (
            "service: a\nprovider:\n  type: swarm\n  manager: h\n  nodes: node.labels.dev = true\n",
            "config/dev.yml:5: provider.nodes: `node.labels.dev = true` is not a constraint: write `KEY == VALUE`",
        ),
        (
            "service: a\nprovider:\n  type: swarm\n  manager: h\n  nodes: [node.role == worker, node.labels.dev]\n",
            "config/dev.yml:5: provider.nodes[1]: `node.labels.dev` is not a constraint",
        ),
        (
            "service: a\nprovider:\n  type: swarm\n  manager: h\n  nodes: node.role == worker && node.name == x\n",
            "config/dev.yml:5: provider.nodes: `node.name` is not a key of a node: use `node.id`",
        ),
        (
            "service: a\nprovider:\n  type: swarm\n  manager: h\n  nodes: node.labels. == x\n",
            "config/dev.yml:5: provider.nodes: `node.labels.` is not a key of a node",
        ),
        (
            "service: a\nprovider:\n  type: swarm\n  manager: h\n  nodes: node.role == leader\n",
            "config/dev.yml:5: provider.nodes: the role of a node is `manager` or `worker`, not `leader`",
        ),
        (
            "service: a\nprovider:\n  type: swarm\n  manager: h\n  nodes: node.ip == 10.0.0.300\n",
            "config/dev.yml:5: provider.nodes: `10.0.0.300` is not an IP address or a network",
        ),
        (
            "service: a\nprovider:\n  type: swarm\n  manager: h\n  nodes: {a: b}\n",
            "config/dev.yml:5: provider.nodes: must be conditions such as `node.labels.dev == true`, joined by",
        ),
        (
            "service: a\ndefaults: {memory_swap: 2g}\n",
            "config/dev.yml:2: defaults.memory_swap: requires `defaults.memory`",
        ),
        (
            "service: a\nbuild: {platform: amd64}\n",
            "config/dev.yml:2: build.platform: `amd64` must be like `linux/amd64`",
        ),
        (
            "service: a\nbuild: {platform: {a: b}}\n",
            "config/dev.yml:2: build.platform: must be a platform, or a list, not",
        ),
        (
            "service: a\nbuild: {builder: '--x'}\n",
            "config/dev.yml:2: build.builder: `--x` must be a buildx",
        ),
        (
            "service: a\nimage: {devcontainer: ../x.json}\n",
            "config/dev.yml:2: image.devcontainer: `../x.json` must be a path inside the repository, relative"
            " to its top",
        ),
        (
            "service: a\nimage: {devcontainer: /x.json}\n",
            "config/dev.yml:2: image.devcontainer: `/x.json` must be a path",
        ),
        (
            "service: a\nbuild:\n  args: {GEM: x}\n  secrets: [GEM]\n",
            "config/dev.yml:3: build.args.GEM: is also in `build.secrets`; as an argument it would stay readable in the"
            " image: remove it here",
        ),
        # Registry and image.
        (
            "service: a\nregistry: {server: 'ghcr.io:99999'}\n",
            "config/dev.yml:2: registry.server: the port must be from 1 to 65535, not `99999`",
        ),
        (
            "service: a\nregistry: {server: localhost}\n",
            "config/dev.yml:2: registry.server: needs a port: `localhost:5555`",
        ),
        (
            "service: a\nregistry: {server: ghcr.io/acme}\n",
            "config/dev.yml:2: registry.server: `ghcr.io/acme` must be a",
        ),
        (
            "service: a\nregistry: {server: harbour}\n",
            "config/dev.yml:2: registry.server: `harbour` must be a registry address",
        ),
        (
            "service: a\nregistry: {password_env: ''}\n",
            "config/dev.yml:2: registry.password_env: is empty; leave both names empty for a registry without login",
        ),
        ("service: a\nimage: Acme/Blog\n", "config/dev.yml:2: image.name: `Acme/Blog` is not a valid image name"),
        ("service: a\nimage: a/b@sha256:0\n", "config/dev.yml:2: image.name: `a/b@sha256:0` has a tag or digest"),
        (
            "service: a\nimage: ghcr.io/a/b\nregistry: {server: docker.io}\n",
            "config/dev.yml:2: image.name: is on `ghcr.io`, but `registry.server` is `docker.io`;"
            " use one server in both",
        ),
        ("service: a\nimage: gh cr.io/a\n", "config/dev.yml:2: image.name: `gh cr.io/a` must be an image name"),
        (
            "service: a\nimage: gh_cr.io/a\n",
            "config/dev.yml:2: image.name: `gh_cr.io/a` does not start with a registry address",
        ),
        (
            "service: a\nimage: a.json\nbuild: {devcontainer: b.json}\n",
            "config/dev.yml:3: image.devcontainer: is not the devcontainer that `image` names, `a.json`; keep one",
        ),
        # Old beside new.
        (
            "service: a\nregistry: {username: A, username_env: B}\n",
            "config/dev.yml:2: registry.username: conflicts with `registry.username_env`, which has the same meaning;"
            " keep one",
        ),
        # Names of stacks.
        (
            "service: a\nnaming: {pattern: '{service}'}\n",
            "config/dev.yml:2: naming.pattern: must have `{index}`, so that",
        ),
        (
            "service: a\nnaming: {pattern: '{service.upper}-{index}'}\n",
            "config/dev.yml:2: naming.pattern: `{service.upper}-{index}` is not a valid pattern: use only `{service}`,"
            " `{index}` and `{index:03}`",
        ),
        (
            "service: a\nnaming: {pattern: '{index:>9999}'}\n",
            "config/dev.yml:2: naming.pattern: `{index:>9999}` is not a",
        ),
        (
            "service: a\nnaming: {pattern: '{index!r}'}\n",
            "config/dev.yml:2: naming.pattern: `{index!r}` is not a valid pattern",
        ),
        (
            "service: a\nnaming: {pattern: '{index'}\n",
            "config/dev.yml:2: naming.pattern: `{index` is not a valid pattern: ",
        ),
        (
            "service: a\nnaming: {pattern: 'My {index}'}\n",
            "config/dev.yml:2: naming.pattern: makes the name `My 1`; a stack's name is at most 63 lower-case letters,"
            " digits, `-` and `_`",
        ),
        # Providers.
        (
            "service: a\nprovider: {type: upcloud, zone: de-fra1}\n",
            "config/dev.yml:2: provider.type: must be one of `docker`, `static`, `swarm`, not `upcloud`",
        ),
        (
            "service: a\nprovider: {type: statc}\n",
            "config/dev.yml:2: provider.type: must be one of `docker`, `static`, `swarm`, not",
        ),
        ("service: a\nprovider: docker\n", "config/dev.yml:2: provider: must be a mapping with `type`, not the text"),
        (
            "service: a\nprovider: {hosts: [a]}\n",
            "config/dev.yml:2: provider.hosts: unknown key; it belongs under `type: static`",
        ),
        ("service: a\nprovider:\n  type: static\n", "config/dev.yml:3: provider.hosts: is required"),
        (
            "service: a\nprovider: {type: static, hosts: []}\n",
            "config/dev.yml:2: provider.hosts: must name at least one host",
        ),
        (
            "service: a\nprovider: {type: static, hosts: [1]}\n",
            "config/dev.yml:2: provider.hosts[0]: must be `user@address:port` or a mapping with `address`",
        ),
        (
            "service: a\nprovider: {type: static, hosts: [{adress: x}]}\n",
            "config/dev.yml:2: provider.hosts[0].adress: unknown key; did you mean `address`?\n"
            "config/dev.yml:2: provider.hosts[0].address: is required",
        ),
        (
            "service: a\nprovider: {type: static, hosts: ['a b']}\n",
            "config/dev.yml:2: provider.hosts[0]: `a b` must be a host name or an IP address",
        ),
        (
            "service: a\nprovider: {type: static, hosts: ['-x@b']}\n",
            "config/dev.yml:2: provider.hosts[0]: `-x` must be a user name",
        ),
        (
            "service: a\nprovider: {type: static, hosts: ['b:0']}\n",
            "config/dev.yml:2: provider.hosts[0]: the port must be a whole number from 1 to 65535, not `0`",
        ),
        (
            "service: a\nprovider: {type: static, hosts: ['b:x']}\n",
            "config/dev.yml:2: provider.hosts[0]: `b:x` is not a host: write `user@address:port`",
        ),
        (
            "service: a\nprovider: {type: static, hosts: [a@b, 'c@B:22']}\n",
            "config/dev.yml:2: provider.hosts[1]: is the same host as provider.hosts[0]",
        ),
    ],
)
def test_bad_input_is_named_with_its_line(text: str, message: str) -> None:
    assert "\n".join(problems(text)).startswith(message)
    assert len(problems(text)) == message.count("\n") + 1


@pytest.mark.parametrize(
    "token",
    [
        "ghp_0123456789abcdefghijABCDEFGHIJ012345",
        "glpat-x",
        "dckr_pat_x",
        "AKIAIOSFODNN7EXAMPLE",
        "two words",
        "a" + "B2" * 20,
    ],
)
def test_what_looks_like_a_secret_is_never_shown(token: str) -> None:
    for text in (f"registry: {{password: '{token}'}}", f"secrets: ['{token}']", f"build: {{secrets: ['{token}']}}"):
        assert token not in problem(f"service: a\n{text}\n")


def test_erb_is_refused_with_each_line() -> None:
    assert problems("service: a\n# <%= fine %>\nimage: <%= ENV['X'] %>\n<% if true %>\n") == [
        f"config/dev.yml:{line}: has ERB (`<% … %>`), which is not supported; write the value itself or a variable name"
        for line in (3, 4)
    ]


def test_bytes_that_are_not_utf8_are_named_with_their_line() -> None:
    with pytest.raises(ConfigError) as caught:
        decode("service: a\nimage: caf\xe9\n".encode("latin-1"), PATH, ConfigError)
    assert str(caught.value) == "config/dev.yml:2:11: byte 0xe9 is not UTF-8"
    assert caught.value.hint == "save the file as UTF-8"


def test_many_problems_are_summed_up() -> None:
    found = at_once("".join(f"key{index}: 1\n" for index in range(2000)))
    assert len(found) == 51
    assert found[-1] == "config/dev.yml: has 1951 more problems"


@pytest.mark.parametrize(
    "text", ["[" * 20_000 + "]" * 20_000, "a: " + "{a: " * 20_000, "[a, " * 9_000, "- " * 20_000, "? " * 20_000]
)
def test_deep_nesting_is_refused_at_once(text: str) -> None:
    assert at_once(text)[0].endswith("is nested more than 100 levels deep")


def test_an_alias_bomb_is_never_expanded() -> None:
    lines = ["x-0: &a0 [x, x]"]
    lines += [f"x-{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 40)]
    at_once("\n".join([*lines, "service: a", "secrets: *a39", "ssh: *a39"]))


def test_a_bomb_of_merge_keys_is_never_expanded() -> None:
    lines = ["x-0: &a0 {user: x}"]
    lines += [f"x-{level}: &a{level} {{<<: [{', '.join([f'*a{level - 1}'] * 9)}]}}" for level in range(1, 40)]
    assert "grows to more than 10000 nodes" in at_once("\n".join([*lines, "service: a", "ssh: *a39"]))[0]


def test_a_long_chain_of_merge_keys_is_refused() -> None:
    lines = ["x-0: &a0 {user: x}", *(f"x-{level}: &a{level} {{<<: *a{level - 1}}}" for level in range(1, 700))]
    assert "grows to more than 10000 nodes" in at_once("\n".join([*lines, "ssh: *a699"]))[0]


def test_hosts_that_repeat_an_anchor_are_refused() -> None:
    keys = ", ".join(f"k{index}: 1" for index in range(1000))
    hosts = ", ".join(["*a"] * 1000)
    found = at_once(f"x-a: &a {{{keys}}}\nservice: a\nprovider: {{type: static, hosts: [{hosts}]}}\n")
    assert "grows to more than 10000 nodes" in found[0]


def test_too_long_files_are_refused() -> None:
    assert at_once("#\n" * 200_000) == ["config/dev.yml: has 400000 characters; at most 131072 are read"]
    assert "has more than 5000 nodes" in at_once("a: [" + "x," * 60_000 + "]")[0]


@pytest.mark.parametrize(
    "text",
    [
        "service: " + "a-" * 50_000 + "!",
        "image: " + "a/" * 50_000 + "!",
        "registry: {server: " + "a." * 50_000 + "!}",
        "provider: {type: static, hosts: ['" + ":" * 50_000 + "!']}",
        "provider: {type: static, hosts: ['" + "@" * 50_000 + "']}",
        "secrets: [" + ",".join(f"K{index}" for index in range(4_000)) + "]",
        "a" * 100_000 + ": 1",
    ],
)
def test_long_values_take_no_long_time(text: str) -> None:
    at_once(text)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from("service: a\n-[]{}&*<!|>'\"#%,?x\t~\\") | st.characters(), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        config.load(text, PATH, environment={})
    except ConfigError as error:
        assert all(problem.path == PATH for problem in error.problems)
