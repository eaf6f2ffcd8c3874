import json

from kamal_dev.devcontainer import features, without_features
from kamal_dev.model import Location
from tests.devcontainer.conftest import FILE, ROOT

SAID = """\
{
  "image": "debian:12",
  "features": {"ghcr.io/a/node:1": {"version": "${localEnv:USER}"}, "./own": {}},
  "overrideFeatureInstallOrder": ["./own"],
  "remoteUser": "dev",
  "runArgs": ["--user", "app"]
}"""


def test_features_come_with_their_order_and_whom_they_are_installed_for(load):
    found = features(load(SAID))
    assert found is not None
    assert found.names == ("ghcr.io/a/node:1", "./own")
    assert json.loads(found.text) == {
        "features": {"ghcr.io/a/node:1": {"version": "me"}, "./own": {}},
        "overrideFeatureInstallOrder": ["./own"],
    }
    assert (found.container_user, found.remote_user) == ("app", "dev")
    assert (found.path, found.root, found.where) == (FILE, ROOT, Location("devcontainer.json", 3, 3))


def test_no_features_are_none(load):
    assert features(load({"image": "i", "features": {}})) is None
    assert features(load({"image": "i"})) is None


def test_ignored_features_are_gone_but_for_a_notice_that_names_them(load):
    before = load(SAID)
    assert [notice for notice in before.notices if "eature" in notice.message] == []
    found = without_features(before)
    assert features(found) is None
    assert [str(notice) for notice in found.notices if "eature" in notice.message] == [
        "devcontainer.json:3: `features` is ignored: disabled by `--ignore-features` (`ghcr.io/a/node:1`, `./own`)",
        "devcontainer.json:4: `overrideFeatureInstallOrder` is ignored: disabled by `--ignore-features`",
    ]
    rows = {item.key: item.outcome for item in found.explanations}
    assert rows["features"] == rows["overrideFeatureInstallOrder"] == "ignored"
    assert without_features(load({"image": "i"})) == load({"image": "i"})
