"""The bad inputs, each with the words it is refused with, and the odd ones that are good.

What only one reader refuses is a case of that reader (`tests/config`, `tests/devcontainer`); here it is enough once.
"""

from __future__ import annotations

import json
from typing import Any

from tests.bad_input.command import COMPOSE, CONFIG, DEVCONTAINER, SECRETS, Input

NAMED = '{\n  "dockerComposeFile": "compose.yaml",\n  "service": "app"\n}\n'
SERVICE = "services:\n  app:\n"
GOOD = f"{SERVICE}    image: debian\n"
DOCKERFILE = {".devcontainer/Dockerfile": "FROM debian\n"}
DEEP = 20_000
BOMB = (
    "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "services:\n  app: {image: x, labels: *i}\n"
)


def compose(says: str, text: str | bytes, **more: Any) -> Input:
    """Return a repository whose compose file is `text`; `says` follows the file's name, `says_instead` does not."""
    files = {DEVCONTAINER: NAMED, COMPOSE: text, **DOCKERFILE, **more.pop("files", {})}
    return Input(more.pop("says_instead", rf"{COMPOSE}{says}"), files, **more)


def build(says: str, text: str, **more: Any) -> Input:
    """Return a repository whose service has this `build`."""
    return compose(says, f"{SERVICE}    build: {text}\n", **more)


def devcontainer(says: str, text: str | bytes, **more: Any) -> Input:
    """Return a repository whose devcontainer.json is `text`; `says` follows the file's name."""
    files = {COMPOSE: GOOD, DEVCONTAINER: text, **DOCKERFILE, **more.pop("files", {})}
    return Input(rf"{DEVCONTAINER}{says}", files, **more)


def config(says: str, text: str | bytes, **more: Any) -> Input:
    """Return a repository whose config/dev.yml is `text`; `says` follows the file's name."""
    built = json.dumps({"build": {"dockerfile": "Dockerfile"}})
    files = {DEVCONTAINER: built, **DOCKERFILE, CONFIG: text, **more.pop("files", {})}
    return Input(more.pop("says_instead", rf"{CONFIG}{says}"), files, **more)


def secrets(says: str, text: str | bytes, *, says_instead: str = "") -> Input:
    """Return a repository whose .kamal/secrets is `text`; `says` follows the file's name."""
    asked = config("", "service: app\nsecrets: [KEY]\n", files={SECRETS: text})
    return Input(says_instead or rf"{SECRETS}{says}", asked.files)


def typed(says: str, *words: str, text: str = GOOD) -> Input:
    """Return a good repository, and what is typed in it."""
    return Input(says, {DEVCONTAINER: NAMED, COMPOSE: text}, words)


COMPOSE_FILES = {
    "an empty compose file": compose(":1: is empty", ""),
    "a tab": compose(r":3:1: has a tab where YAML requires spaces", f"{SERVICE}\timage: debian\n"),
    "latin-1": compose(r":3:\d+: byte 0xe9 is not UTF-8", f"{SERVICE}    image: caf\xe9\n".encode("latin-1")),
    "a key twice": compose(":4:5: `image` is already defined in line 3", f"{GOOD}    image: alpine\n"),
    "an alias bomb": compose(r":\d+:\d+: .*grows to more than", BOMB),
    "an alias to itself": compose(r":4:12: the alias `\*a` is inside of", f"{GOOD}    x: &a [*a]\n"),
    "a merge of itself": compose(r":2:7: the alias `\*x` is inside of", "x: &x\n  <<: *x\nservices: {}\n"),
    "20,000 lists in each other": compose(":4:.*is nested more than 100", f"{GOOD}    x-a: {'[' * DEEP}{']' * DEEP}\n"),
    "20,000 variables in each other": compose(
        ":3:12: variables are nested more than 50 deep", f"{SERVICE}    image: {'${A:-' * DEEP}x{'}' * DEEP}\n"
    ),
    "no services": compose(":1:1: services: must be a mapping", "services:\n"),
    "services that are null": compose(":1:11: services: must be a mapping", "services: null\n"),
    "a service that is null": compose(":2:3: services.app: must be a mapping", SERVICE),
    "a service of nothing": compose(
        ":3:5: services.app: has neither `image` nor `build`", f"{SERVICE}    init: true\n"
    ),
    "a key without a value": compose(":4:5: services.app.environment: has no value", f"{GOOD}    environment:\n"),
    "a python object": compose(
        ":3:12: the tag `!!python/object:os.system`", f"{SERVICE}    image: !!python/object:os.system x\n"
    ),
    "a python name": compose(
        ":3:12: the tag `!!python/name:os.system`", f"{SERVICE}    image: !!python/name:os.system x\n"
    ),
    "a variable that is required": compose(
        ":3:12: the required variable `IMG` .*: set", f"{SERVICE}    image: ${{IMG:?set}}\n"
    ),
    "a service named in Hebrew": compose(
        ":2:3: services.\u05d0\u05d1: .* is not a name", "services:\n  \u05d0\u05d1:\n    image: x\n"
    ),
    "a service named with an accent": compose(
        ":4:3: services.caf\xe9: .* is not a name", f"{GOOD}  caf\xe9: {{image: x}}\n"
    ),
    "a service that is a command": compose(
        ":4:3: services.a; touch x: .* is not a name", f"{GOOD}  a; touch x: {{image: x}}\n"
    ),
    "a service that is a flag": compose(":4: --rm: starts with `-`", f"{GOOD}  --rm: {{image: x}}\n"),
    "an image that is a command": compose(":3:12: .*is not an image", f'{SERVICE}    image: "x; touch y"\n'),
    "an image that is a flag": compose(":3:12: .*is not an image", f'{SERVICE}    image: "-x"\n'),
    "an image with a NUL": compose(":3:12: .*is not an image", f'{SERVICE}    image: "a\\0b"\n'),
    "a link that leads to itself, mounted from": compose(
        ":4:15: services.app.env_file: .*no such file",
        f"{GOOD}    env_file: loop\n",
        links={".devcontainer/loop": "loop"},
    ),
    "a file of /etc": compose(":4:15: .*`/etc/passwd` is outside the repository", f"{GOOD}    env_file: /etc/passwd\n"),
    ".env without a closing quote": Input(
        r"\.devcontainer/\.env:2: the quoted value has no closing quote",
        {DEVCONTAINER: NAMED, COMPOSE: GOOD, ".devcontainer/.env": 'A=1\nB="x\n'},
    ),
    ".env that doubles in every line": compose(
        "",
        GOOD,
        says_instead=r"\.devcontainer/\.env:18: A17: the values so far are longer than 1048576 characters",
        files={".devcontainer/.env": "A0=12345678\n" + "".join(f"A{n + 1}=${{A{n}}}${{A{n}}}\n" for n in range(60))},
    ),
    ".env with a name of spaces": compose(
        "",
        GOOD,
        says_instead=r"\.devcontainer/\.env:1: `A +` does not start with a variable name",
        files={".devcontainer/.env": f"A{' ' * 200_000}!"},
    ),
    ".env of three megabytes": compose(
        "",
        GOOD,
        says_instead=r"\.devcontainer/\.env:1: is larger than 256 KiB",
        files={".devcontainer/.env": "A=1\n" * 750_000},
    ),
    "variables that are long": compose(
        r":4:14: grows to more than 1048576 characters",
        f'{GOOD}    command: "{"${A}" * 20_000}"\n',
        files={".devcontainer/.env": f"A={'x' * 100_000}\n"},
    ),
    "variables that are long together": compose(
        r":46:12: here the texts with variables are longer than 4194304 characters",
        f"{GOOD}    x-a:\n" + "      -    x${A}\n" * 50,
        files={".devcontainer/.env": f"A={'x' * 100_000}\n"},
    ),
    "3,000 services that extend each other": compose(
        r":\d+:\d+: `s\d+` is extended in more than 50 steps",
        GOOD + "  s0: {image: x}\n" + "".join(f"  s{n + 1}: {{extends: s{n}}}\n" for n in range(3000)),
    ),
    ".env in latin-1": Input(
        r"\.devcontainer/\.env:1:\d+: byte 0xe9 is not UTF-8",
        {DEVCONTAINER: NAMED, COMPOSE: GOOD, ".devcontainer/.env": b"A=\xe9\n"},
    ),
}

BUILDS = {
    "a build that is null": build(":3:5: services.app.build: must be a path or a mapping", ""),
    "a build that is a list": build(":3:12: services.app.build: must be a path or a mapping", "[]"),
    "a build that is empty": build(":3:12: services.app.build: has no folder", '""'),
    "a build from a variable that is not set": build(":3:12: services.app.build: has no folder", "${CTX}"),
    "dockerfile and dockerfile_inline": build(
        ":3:56: .*has both `dockerfile` and `dockerfile_inline`", "{dockerfile: Dockerfile, dockerfile_inline: FROM x}"
    ),
    "a context above the repository": build(":3:12: .*is outside the repository", "../.."),
    "a context of the system": build(":3:12: .*`/etc` is outside the repository", "/etc"),
    "a context that does not exist": build(r":3:12: .*`\.devcontainer/nowhere` does not exist", "./nowhere"),
    "a context that is linked out": build(
        ":3:12: .*is outside the repository", "./out", links={".devcontainer/out": "/etc"}
    ),
    "a context that is a link to itself": build(
        ":3:12: .*does not exist", "./loop", links={".devcontainer/loop": "loop"}
    ),
    "no Dockerfile": build(
        r":3:37: .*the Dockerfile `\.devcontainer/None` does not exist", "{context: ., dockerfile: None}"
    ),
    "a Dockerfile that is a link to itself": build(
        ":3:37: .*does not exist", "{context: ., dockerfile: loop}", links={".devcontainer/loop": "loop"}
    ),
    "a key that no build has": build(
        ":3:25: .*dockerfil: is not a Compose key; did you mean `dockerfile`.", "{context: ., dockerfil: Dockerfile}"
    ),
}

DEVCONTAINERS = {
    "an empty devcontainer.json": devcontainer(":1:1: is empty", ""),
    "a list": devcontainer(":1:1: must be a JSON object", "[1]"),
    "latin-1 in JSON": devcontainer(":2:15: byte 0xe9 is not UTF-8", '{\n  "name": "caf\xe9"}'.encode("latin-1")),
    "20,000 lists in each other in JSON": devcontainer(
        r":1:\d+: is nested deeper than 100", f'{{"image": "x", "a": {"[" * DEEP}{"]" * DEEP}}}'
    ),
    "three megabytes of JSON": devcontainer(":1:1: is larger than 256 KiB", f'{{"image": "{"x" * 3_000_000}"}}'),
    "single quotes": devcontainer(":1:2: 'image' is in single quotes", "{'image': 'x'}"),
    "a missing comma": devcontainer(":2:3: expected `,`", '{"image": "x"\n  "a": 1}'),
    "a NUL": devcontainer(":1:13: the character U.0000 is not allowed", '{"image": "x\0"}'),
    "nothing to run": devcontainer(":1:1: has nothing to run", '{"name": "x"}'),
    "no service": devcontainer(":1:2: .*requires `service`", '{"dockerComposeFile": "compose.yaml"}'),
    "a service that is missing": devcontainer(
        ":2:2: no compose file has a service `web`", '{"dockerComposeFile": "compose.yaml",\n "service": "web"}'
    ),
    "a runService that is missing": devcontainer(
        ":3:18: no compose file has a service `dbb`",
        '{"dockerComposeFile": "compose.yaml",\n "service": "app",\n "runServices": ["dbb"]}',
    ),
    "a compose file that is missing": devcontainer(
        r":1:40: `\.devcontainer/b\.yaml`: no such file",
        '{"dockerComposeFile": ["compose.yaml", "b.yaml"], "service": "app"}',
    ),
    "a compose file that is a link to itself": devcontainer(
        r":1:\d+: `\.devcontainer/loop`: Too many levels",
        '{"dockerComposeFile": "loop", "service": "app"}',
        links={".devcontainer/loop": "loop"},
    ),
    "a Dockerfile that is missing": devcontainer(
        r":2:\d+: the Dockerfile `\.devcontainer/None` does not exist", '{"build": {\n  "dockerfile": "None"}}'
    ),
    "a context above the repository, in JSON": devcontainer(
        r":3:\d+: .*is outside the repository",
        '{"build": {\n  "dockerfile": "Dockerfile",\n  "context": "../.."}}',
    ),
    "a devcontainer.json that is a link to itself": Input(
        "devcontainer.json: is a broken link", links={DEVCONTAINER: "devcontainer.json"}
    ),
    "a devcontainer.json that cannot be read": Input(
        rf"{DEVCONTAINER}: cannot be read: Input/output error", links={DEVCONTAINER: "/proc/self/mem"}
    ),
    "no devcontainer.json": Input("there is no devcontainer.json in .*app", {"README.md": ""}),
}

NAME = "a" * 200

CONFIGS = {
    "a config/dev.yml that cannot be read": Input(
        rf"{CONFIG}: cannot be read: Input/output error",
        {DEVCONTAINER: NAMED, COMPOSE: GOOD},
        links={CONFIG: "/proc/self/mem"},
    ),
    "latin-1 in config/dev.yml": config(r":1:\d+: byte 0xe9 is not UTF-8", "service: app # \xe9\n".encode("latin-1")),
    "20,000 lists in each other in config/dev.yml": config(
        ":2:104: is nested more than 100", f"service: app\nx: {'[' * DEEP}{']' * DEEP}\n"
    ),
    "many hosts": config(":2: vms.count: must be a whole number from 1", "service: app\nvms: {count: many}\n"),
    "a service in Hebrew": config(":1: service: .*must be lower-case letters", "service: \u05d0\n"),
    **{
        f"a host {host}": config(":2: provider.hosts", f"service: app\nprovider: {{type: static, hosts: [{host!r}]}}\n")
        for host in ("-oProxyCommand=id", "a;id", "-l@a", "a b", "$(id)", "a@-x")
    },
    **{
        f"{key} {value}": config(f":2: ssh.{key}", f"service: app\nssh: {{{key}: {value!r}}}\n")
        for key, value in (("user", "-x"), ("user", "a;id"), ("proxy_jump", "-oX=y"), ("proxy_jump", "a;id"))
    },
    **{
        f"naming.pattern {pattern}": config(":", f"service: app\nnaming: {{pattern: {pattern!r}}}\n")
        for pattern in ("-{index}", "a;{index}", "a b{index}", "../{index}", "{index.__class__}")
    },
    "a build secret that is a flag": config(":2: build.secrets", "service: app\nbuild: {secrets: ['--x']}\n"),
    "a platform that is a command": config(":2: build.platform", "service: app\nbuild: {platform: 'a;b'}\n"),
    "a secret with a NUL": secrets(":1: KEY: contains a NUL character", "KEY=a\0b\n"),
    "a secret without a closing quote": secrets(':1: KEY: has no closing `"`', 'KEY="a\n'),
    "secrets in UTF-16": secrets(":1:1: byte 0xff is not UTF-8", "KEY=1".encode("utf-16")),
}

FLAGS = {
    **{
        f"--count {count}": typed("--count", "deploy", "--yes", "--count", count)
        for count in ("0", "-1", "10000", "many", "1.5")
    },
    "a tag of 129 letters": typed("longer than the 128 characters", "deploy", "--version", "a" * 129),
    "a tag with a slash": typed("`a/b` is not a valid image tag", "deploy", "--version", "a/b"),
    "a tag that is a command": typed("`x;y` is not a valid image tag", "deploy", "--version", "x;y"),
    "a tag that runs something": typed(r"`\$\(id\)` is not a valid image tag", "deploy", "--version", "$(id)"),
    "a tag that is a flag": typed("`-x` is not a valid image tag", "deploy", "--version", "-x"),
    "a devcontainer that is not there": typed(
        "there is no devcontainer.json at", "deploy", "--devcontainer", "none.json"
    ),
}

REFUSED = {**COMPOSE_FILES, **BUILDS, **DEVCONTAINERS, **CONFIGS, **FLAGS}

SHOP = '{"dockerComposeFile": ["compose.yaml", "more.yaml"], "service": "app"}'
ACCEPTED = {
    "a BOM": Input(
        '"debian"',
        {DEVCONTAINER: f"\ufeff{NAMED}", COMPOSE: f"\ufeff{GOOD}", CONFIG: "\ufeffservice: app\n"},
    ),
    "CRLF": Input(
        '"debian"', {name: text.replace("\n", "\r\n") for name, text in ((DEVCONTAINER, NAMED), (COMPOSE, GOOD))}
    ),
    "several documents": compose("", f"{GOOD}---\n{SERVICE}    init: true\n"),
    "several compose files": devcontainer("", SHOP, files={".devcontainer/more.yaml": f"{SERVICE}    init: true\n"}),
    "a key twice in JSON": Input(
        "`image` is a duplicate key: the last value is used", {DEVCONTAINER: '{"image": "a",\n "image": "b"}'}
    ),
    "a number of 5,000 digits": compose("", f"{GOOD}    x-a: {'1' * 5000}\n    x-b: 0x{'f' * 5000}\n"),
    "120,000 variables that do not end": devcontainer("", f'{{"image": "a", "name": "{"${" * 120_000}"}}'),
    "a build from git": build("", "https://github.com/acme/app.git#main"),
    "a build from a variable": build("", "${CTX}", environment={"CTX": "."}),
    "image and build in JSON": devcontainer(
        "", '{"image": "a",\n "build": {"dockerfile": "Dockerfile"}}', files={"x": ""}
    ),
    "image and build of a service": compose("", f"{SERVICE}    image: acme/app\n    build: .\n"),
    "slashes in strings, commas at ends": devcontainer("", '{"image": "a", "name": "http://x /* y */", }'),
    ".env with all that Compose reads": compose(
        "",
        f"{SERVICE}    image: ${{A}}\n",
        files={".devcontainer/.env": "export A=\"deb\"\nB='$x\n y'\nC=a$A # c\nD: 1\n"},
    ),
    "a project name of 200 letters": compose("", f"name: {NAME}\n{GOOD}"),
    "a registry with port and capitals": config(
        "",
        "service: app\nregistry: {server: 'Registry.Example:5000'}\n",
        says_instead='"image": "registry.example:5000/',
    ),
    "an account in capitals": config(
        "",
        "service: app\nregistry: {server: r.example, username_env: ACCOUNT, password_env: TOKEN}\n",
        environment={"ACCOUNT": "Acme", "TOKEN": "x"},
        says_instead='"image": "r.example/acme/',
    ),
    "a secret over two lines, with quotes and dollars": secrets(
        "", 'KEY="a\nb\'\\"$$"\n', says_instead=r'"manifest\.json"'
    ),
}
