from __future__ import annotations

from kamal_dev.output.layer_log import Layer, LayerLog


def followed(*lines: str) -> LayerLog:
    log = LayerLog()
    for line in lines:
        log.take(line)
    return log


def test_the_bytes_of_all_layers_are_added() -> None:
    log = followed(
        "ab28bf26dbed: Pushing  1.5MB/90MB",
        "568ebc3793ca: Pushing   524.8kB/70MB",
        "ab28bf26dbed: Pushing     2MB/90MB",
    )
    assert log.sent == (2_524_800, 160_000_000)
    assert log.layers == (0, 2)


def test_the_total_is_unknown_until_the_size_of_each_layer_is_known() -> None:
    assert followed("ab28bf26dbed: Pushing  1MB/90MB", "568ebc3793ca: Preparing").sent == (1_000_000, None)


def test_a_layer_that_the_registry_has_is_done_and_sends_nothing() -> None:
    log = followed("ab28bf26dbed: Layer already exists", "568ebc3793ca: Mounted from acme/blog")
    assert (log.layers, log.sent) == ((2, 2), (0, 0))


def test_a_layer_that_was_pushed_counts_in_full_and_never_more_than_that() -> None:
    packed = ("ab28bf26dbed: Pushing  89MB/90MB", "ab28bf26dbed: Pushing  93.1MB")
    assert followed(*packed).sent == (90_000_000, 90_000_000)
    assert followed(*packed, "ab28bf26dbed: Pushed").layers == (1, 1)
    assert followed(*packed, "ab28bf26dbed: Pushed").sent == (90_000_000, 90_000_000)


def test_other_lines_are_about_no_layer() -> None:
    log = LayerLog()
    assert log.take("The push refers to repository [ghcr.io/acme/blog]") is None
    assert log.take("latest: digest: sha256:ab28bf26dbed size: 952") is None
    assert log.take("ab28bf26dbed: Waiting") == Layer()
