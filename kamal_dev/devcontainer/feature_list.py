"""The Features of a devcontainer.json: for the build, or left out. Installs none, opens no file."""

from __future__ import annotations

import json
from dataclasses import replace

from kamal_dev.devcontainer.configuration import Devcontainer
from kamal_dev.devcontainer.properties import IGNORED
from kamal_dev.model import Explanation, Features, Notice

_KEYS = ("features", "overrideFeatureInstallOrder")
_LEFT_OUT = "disabled by `--ignore-features`"


def features(devcontainer: Devcontainer) -> Features | None:
    """Return the Features of the main service; None if there are none."""
    if not devcontainer.features:
        return None
    listed = {"features": dict(devcontainer.features)}
    order = {"overrideFeatureInstallOrder": list(devcontainer.feature_order)} if devcontainer.feature_order else {}
    return Features(
        names=tuple(devcontainer.features),
        text=json.dumps({**listed, **order}),
        path=devcontainer.path,
        root=devcontainer.root,
        container_user=devcontainer.container_user,
        remote_user=devcontainer.remote_user,
        where=devcontainer.where("features"),
    )


def without_features(devcontainer: Devcontainer) -> Devcontainer:
    """Return the devcontainer without Features, with a notice about them."""
    if not devcontainer.features:
        return devcontainer
    names = ", ".join(f"`{name}`" for name in devcontainer.features)
    explanations = tuple(map(_left_out, devcontainer.explanations))
    notices = [
        Notice(item.where, f"`{item.key}` is ignored: {item.text}" + f" ({names})" * (item.key == "features"))
        for item in explanations
        if item.key in _KEYS
    ]
    ordered = sorted((*devcontainer.notices, *notices), key=lambda notice: (notice.where.line, notice.where.column))
    return replace(devcontainer, features={}, feature_order=(), explanations=explanations, notices=tuple(ordered))


def _left_out(item: Explanation) -> Explanation:
    return replace(item, outcome=IGNORED, text=_LEFT_OUT) if item.key in _KEYS else item
