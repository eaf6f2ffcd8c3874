"""config.load: what is read, and what it means."""

from __future__ import annotations

from kamal_dev import config
from kamal_dev.config import Cache, Deploy, Limits, Registry, Ssh
from kamal_dev.errors import ConfigError
from kamal_dev.model import Location
from kamal_dev.syntax.text import decode

PATH = "config/dev.yml"

FULL = """\
x-build: &build
  secrets: [GEM_TOKEN]
service: guestbook
image:
  name: acme/guestbook
  devcontainer: .devcontainer/web/devcontainer.json
registry:
  server: GHCR.io
  username_env: GITHUB_USER
  password_env: GITHUB_TOKEN
build:
  <<: *build
  cache: {type: registry, ref: "ghcr.io/acme/cache:1", mode: max}
  args: {RUBY: 3.10, MODE: 0644, DEBUG: True, NAME: "a b"}
  platform: [linux/amd64, linux/arm64/v8]
  builder: remote
provider:
  type: static
  hosts:
    - deploy@10.0.0.1:2222
    - address: app.example.com
      user: root
      port: 22
      keys: ~/.ssh/id
      proxy_jump: jump@bastion:22
secrets: [DATABASE_PASSWORD]
secrets_file: .kamal/other
ssh: {user: deploy, port: 2222, keys: [~/.ssh/a, keys/b], proxy_jump: me@bastion, known_hosts: strict,
      config: false, max_connections: 10}
defaults: {cpus: 1.50, memory: 2g, memory_swap: -1}
vms: {count: 0x10}
naming: {pattern: "{service}-{index:03}"}
deploy: {timeout: 60, window: 2.5}
"""


def load(text: str, **environment: str) -> config.Config:
    return config.load(text, PATH, environment=environment)


def test_every_option_is_read() -> None:
    read = load(FULL, GITHUB_USER="Acme")

    assert read.service == "guestbook"
    assert read.image == config.ImageSettings("acme/guestbook", ".devcontainer/web/devcontainer.json")
    assert read.registry == Registry("ghcr.io", "GITHUB_USER", "GITHUB_TOKEN", "Acme")
    assert read.build.cache == Cache("registry", (("ref", "ghcr.io/acme/cache:1"), ("mode", "max")))
    assert read.build.args == (("RUBY", "3.10"), ("MODE", "0644"), ("DEBUG", "true"), ("NAME", "a b"))
    assert read.build.secrets == ("GEM_TOKEN",)
    assert read.build.platform == ("linux/amd64", "linux/arm64/v8")
    assert read.build.builder == "remote"
    assert read.secrets == ("DATABASE_PASSWORD",)
    assert read.secrets_file == ".kamal/other"
    assert read.ssh == Ssh("deploy", 2222, ("~/.ssh/a", "keys/b"), "me@bastion", "strict", False, 10)
    assert read.limits == Limits("1.50", "2g", "-1")
    assert read.count == 16
    assert read.naming == "{service}-{index:03}"
    assert read.deploy == Deploy(60, 2.5)
    assert read.path == PATH
    assert read.notices == ()


def test_hosts_are_text_or_mappings_and_come_out_alike() -> None:
    assert load(FULL).provider["hosts"] == (
        {"address": "10.0.0.1", "user": "deploy", "port": 2222, "keys": (), "proxy_jump": ""},
        {
            "address": "app.example.com",
            "user": "root",
            "port": 22,
            "keys": ("~/.ssh/id",),
            "proxy_jump": "jump@bastion:22",
        },
    )


def test_addresses_may_be_ipv6() -> None:
    text = "service: a\nprovider: {type: static, hosts: ['2001:db8::1', 'root@[::1]:2222', '::ffff:10.0.0.1']}\n"
    assert [(host["address"], host["port"]) for host in load(text).provider["hosts"]] == [
        ("2001:db8::1", 0),
        ("::1", 2222),
        ("::ffff:10.0.0.1", 0),
    ]


def test_the_smallest_file_has_all_defaults() -> None:
    read = load("service: guestbook\n")

    assert read == config.Config("guestbook", path=PATH)
    assert read.registry == Registry("ghcr.io", "REGISTRY_USERNAME", "REGISTRY_PASSWORD")
    assert (read.provider.type, read.provider.options) == ("docker", (("image", ""), ("cpus", ""), ("memory", "")))
    assert (read.count, read.naming, read.secrets_file) == (1, "{service}-{index}", ".kamal/secrets")
    assert read.build.cache is None


def test_docker_hosts_take_limits_and_an_image() -> None:
    text = "service: a\nprovider: {type: docker, image: 'reg.example.com:5000/host:1', cpus: 2, memory: 512MB}\n"
    assert load(text).provider.options == (("image", "reg.example.com:5000/host:1"), ("cpus", "2"), ("memory", "512MB"))


def test_keys_know_their_lines() -> None:
    where = load(FULL).where

    assert where["service"] == Location(PATH, 3, 1)
    assert where["image.name"] == Location(PATH, 5, 3)
    assert where["registry.server"] == Location(PATH, 8, 3)
    assert where["build.secrets"] == Location(PATH, 2, 3)
    assert where["build.args.RUBY"].line == 14
    assert where["provider.hosts[1]"].line == 21
    assert where["provider.hosts[1].address"].line == 21
    assert where["secrets[0]"].line == 26
    assert where["vms.count"].line == 31


def test_keys_of_kamal_dev_03_are_read_and_used() -> None:
    read = load(
        """\
service: blog
image: ghcr.io/acme/blog
build:
  devcontainer: .devcontainer/devcontainer.json
registry:
  server: ghcr.io
  username: GITHUB_USER
  password: GITHUB_TOKEN
ssh:
  key_path: ~/.ssh/id_ed25519.pub
defaults:
  cpus: 2
  memory: 4g
  memory_swap: 8g
vms:
  count: 3
""",
        GITHUB_USER="acme",
    )

    assert read.image == config.ImageSettings("ghcr.io/acme/blog", ".devcontainer/devcontainer.json")
    assert read.registry == Registry("ghcr.io", "GITHUB_USER", "GITHUB_TOKEN", "acme")
    assert read.ssh.keys == ("~/.ssh/id_ed25519",)
    assert read.limits == Limits("2", "4g", "8g")
    assert read.count == 3
    assert read.notices == ()
    assert read.where["registry.username_env"] == read.where["registry.username"]


def test_keys_of_kamal_dev_03_without_meaning_give_a_notice_each() -> None:
    read = load(
        """\
service: blog
build: {dockerfile: Dockerfile, context: .}
vms: {spread: true}
git:
  repository: https://github.com/acme/blog.git
  branch: main
  workspace_folder: /workspaces/blog
  token: GITHUB_TOKEN
"""
    )

    assert [str(notice) for notice in read.notices] == [
        "config/dev.yml:2: `build.dockerfile` is not used: builds are defined by the devcontainer or its compose file",
        "config/dev.yml:2: `build.context` is not used: builds are defined by the devcontainer or its compose file",
        "config/dev.yml:3: `vms.spread` is not used: use `placement`",
        "config/dev.yml:5: `git.repository` is not used: the source is not cloned when the container starts,"
        " so hosts need no token",
        "config/dev.yml:6: `git.branch` is not used: the source is not cloned when the container starts,"
        " so hosts need no token",
        "config/dev.yml:7: `git.workspace_folder` is not used: use `workspaceFolder` in devcontainer.json",
        "config/dev.yml:8: `git.token` is not used: the source is not cloned when the container starts,"
        " so hosts need no token",
    ]


def test_image_as_text_is_a_name() -> None:
    read = load("service: a\nimage: acme/blog\n")
    assert read.image == config.ImageSettings("acme/blog", "")
    assert read.where["image.name"].line == 2


def test_image_that_ends_in_json_is_the_devcontainer() -> None:
    read = load("service: a\nimage: .devcontainer/devcontainer.json\n")
    assert read.image == config.ImageSettings("", ".devcontainer/devcontainer.json")


def test_the_server_of_the_image_is_the_one_to_log_in_to() -> None:
    assert load("service: a\nimage: registry.gitlab.com/acme/blog\n").registry.server == "registry.gitlab.com"
    assert load("service: a\nimage: index.docker.io/acme/blog\n").registry.server == "docker.io"
    both = "service: a\nimage: docker.io/acme/blog\nregistry: {server: hub.docker.com}\n"
    assert load(both).registry.server == "docker.io"


def test_cache_is_true_false_or_a_mapping() -> None:
    assert load("service: a\nbuild: {cache: true}\n").build.cache == Cache("inline")
    assert load("service: a\nbuild: {cache: false}\n").build.cache is None
    assert load("service: a\nbuild: {cache: {type: gha}}\n").build.cache == Cache("gha")
    local = load("service: a\nbuild: {cache: {type: local, dest: .cache}}\n").build.cache
    assert local == Cache("local", (("dest", ".cache"),))


def test_one_value_may_stand_for_a_list() -> None:
    read = load("service: a\nbuild: {platform: linux/arm64}\nssh: {keys: ~/.ssh/a}\n")
    assert (read.build.platform, read.ssh.keys) == (("linux/arm64",), ("~/.ssh/a",))


def test_a_key_without_a_value_is_not_set() -> None:
    text = "service: a\nregistry:\nssh:\n  user:\nsecrets:\nprovider:\n  type:\nbuild: ~\n"
    assert load(text) == config.Config("a", path=PATH)


def test_merge_keys_bring_in_what_is_not_set() -> None:
    text = """\
x-one: &one {server: docker.io, username_env: ONE}
x-two: &two {username_env: TWO, password_env: SECRET}
service: a
registry:
  <<: [*one, *two]
  server: ghcr.io
"""
    assert load(text).registry == Registry("ghcr.io", "ONE", "SECRET")


def test_anchors_may_be_used_again() -> None:
    read = load("x: &a GEM\n".replace("x:", "x-a:") + "service: b\nsecrets: [*a]\nbuild: {secrets: [*a]}\n")
    assert (read.secrets, read.build.secrets) == (("GEM",), ("GEM",))


def test_a_reused_anchor_name_is_no_error() -> None:
    assert load("x-a: &a ONE\nx-b: &a TWO\nservice: b\nsecrets: [*a]\n").secrets == ("TWO",)


def test_extension_keys_may_stand_in_sections() -> None:
    assert load("service: a\nssh: {x-note: !mine [1], user: me}\n").ssh.user == "me"


def test_byte_order_mark_and_crlf_are_read() -> None:
    assert load("\ufeffservice: a\r\nvms:\r\n  count: 2\r\n").count == 2
    text = decode("\ufeffservice: e\r\n".encode(), PATH, ConfigError)
    assert config.load(text, PATH, environment={}).service == "e"


def test_explicit_core_tags_are_honoured() -> None:
    assert load("service: !!str 123\nvms: !!map {count: !!int 2}\n").service == "123"


def test_a_known_service_makes_the_key_optional() -> None:
    known = config.Defaults(service="folder")
    assert config.load("", PATH, environment={}, defaults=known).service == "folder"
    assert config.load("service: own\n", PATH, environment={}, defaults=known).service == "own"


def test_a_repository_without_a_file_gets_a_registry_that_takes_nothing() -> None:
    made = config.default("My Blog (v2)")

    assert made.service == "my-blog-v2"
    assert made.path == ""
    assert made.registry.is_placeholder
    assert not made.registry.needs_login


def test_any_folder_name_becomes_a_service() -> None:
    assert config.service_name("Über_Blog--x") == "ber-blog-x"
    assert config.service_name("…") == "devcontainer"
    assert config.service_name("a" * 300) == "a" * 40
    assert load(f"service: {config.service_name('9.A__b')}\n").service == "9-a-b"


def test_a_registry_without_accounts_has_both_names_empty() -> None:
    registry = load('service: a\nregistry: {server: "reg.lan:5000", username_env: "", password_env: ""}\n').registry
    assert not registry.needs_login
    assert registry.port == 5000


def test_local_registries_need_no_login() -> None:
    for server in ("localhost:5555", "127.0.0.1:5555"):
        registry = load(f"service: a\nregistry: {{server: '{server}'}}\n", REGISTRY_USERNAME="me").registry
        assert registry.is_local
        assert registry.port == 5555
        assert not registry.needs_login
        assert registry.username == ""


def test_the_default_registry_needs_a_login() -> None:
    registry = load("service: a\n").registry
    assert registry.needs_login
    assert not registry.is_local
    assert registry.port == 0
