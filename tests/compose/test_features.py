from pathlib import Path

from kamal_dev import compose
from kamal_dev.compose import Additions, ComposeProject
from kamal_dev.model import Build, Features, Image, Location, Version
from tests.compose.support import DEFAULT, REPOSITORY, tree

FEATURES = Features(
    ("./own",),
    '{"features": {"./own": {}}}',
    REPOSITORY / ".devcontainer/devcontainer.json",
    REPOSITORY,
    where=Location("devcontainer.json", 3),
)
BUILT = Image("ghcr.example", "acme/shop-dev", "1")


def project(text: str, features: Features = FEATURES) -> ComposeProject:
    files = {DEFAULT: text, ".devcontainer/Dockerfile": "FROM debian:12\n", ".devcontainer/Layered": "FROM node:20\n"}
    return compose.load(
        (REPOSITORY / DEFAULT,), tree=tree(files), repository=REPOSITORY, environment={}, features={"app": features}
    )


def builds(text: str, features: Features = FEATURES) -> dict[tuple[str, ...], Build]:
    return {build.services: build for build in project(text, features).builds}


def test_an_image_is_built_from_where_it_gets_features():
    (build,) = project("services:\n  app: {image: node:20, platform: linux/arm64}\n  db: {image: node:20}\n").builds
    assert (build.services, build.context, build.dockerfile_inline) == (("app",), "-", "FROM node:20\n")
    assert (build.platforms, build.features, build.where) == (("linux/arm64",), FEATURES, FEATURES.where)


def test_a_service_that_shares_the_build_stays_without_features():
    found = builds("services:\n  app: {build: .}\n  one: {build: .}\n  two: {build: .}\n")
    assert {services: build.features for services, build in found.items()} == {("app",): FEATURES, ("one", "two"): None}


def test_features_are_installed_for_the_user_of_the_service_unless_the_devcontainer_names_one():
    text = "services:\n  app: {build: ., user: ann}\n"
    (build,) = project(text).builds
    assert build.features is not None
    assert build.features.container_user == "ann"
    named = Features(("./own",), "{}", Path("/x"), Path("/"), container_user="bob")
    (build,) = project(text, named).builds
    assert build.features == named


def test_an_image_with_features_is_no_base_for_builds_that_name_the_image():
    found = builds("services:\n  app: {image: node:20}\n  other: {build: {context: ., dockerfile: Layered}}\n")
    assert found["other",].contexts == ()


def test_features_on_the_image_of_another_build_come_after_it():
    text = "services:\n  app: {image: acme/base}\n  base: {image: acme/base, build: .}\n"
    base, app = project(text).builds
    assert (base.services, app.services) == (("base",), ("app",))
    assert app.contexts == (("acme/base", "service:base"),)


def test_the_service_runs_what_was_built_and_others_keep_the_image():
    text = "services:\n  app: &app\n    image: node:20\n  other:\n    <<: *app\n"
    release = compose.render(
        project(text), stack="shop-1", version=Version("1"), images={"app": BUILT}, additions=Additions("shop", "app")
    )
    files = {file.path: file.content.decode() for file in release.files}
    assert files[DEFAULT] == text
    overlay = files["kamal-dev.overlay.yaml"]
    assert f"  app:\n    image: {BUILT}\n" in overlay
    assert overlay.count("image:") == 1
    assert release.images == (("app", BUILT),)
    assert release.third_party == ("node:20",)
