from pathlib import Path

import pytest

from kamal_dev.devcontainer.substitution import Variables, devcontainer_id, named, with_id

VARIABLES = Variables(
    {"HOME": "/home/me", "EMPTY": "", "OTHER": "${localEnv:HOME}"}, Path("/src/site"), "/workspaces/site"
)


def substitute(value, variables=VARIABLES):
    refused = []
    found = variables.substitute(value, lambda keys, reason: refused.append((keys, reason)))
    return found, refused


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("${localEnv:HOME}/x", "/home/me/x"),
        ("${env:HOME}", "/home/me"),
        ("${localEnv:MISSING}", ""),
        ("${localEnv:MISSING:default}", "default"),
        ("${localEnv:MISSING:default:more}", "default"),
        ("${localEnv:MISSING::more}", ""),
        ("${localEnv:EMPTY:default}", ""),
        ("${localEnv:}", ""),
        ("${localWorkspaceFolder}|${localWorkspaceFolderBasename}", "/src/site|site"),
        ("${containerWorkspaceFolder}|${containerWorkspaceFolderBasename}", "/workspaces/site|site"),
        ("${localWorkspaceFolder:ignored}", "/src/site"),
        ("${localEnv:OTHER}", "${localEnv:HOME}"),
        ("${localEnv:MISSING:${localEnv:HOME}}", "${localEnv}"),
        ("${HOME} ${templateOption:x} ${} $HOME $$ ${open", "${HOME} ${templateOption:x} ${} $HOME $$ ${open"),
        ("${containerEnv:PATH} ${devcontainerId}", "${containerEnv:PATH} ${devcontainerId}"),
        ("${local\nEnv:HOME}", "${local\nEnv:HOME}"),
    ],
)
def test_variables_are_replaced_as_the_reference_replaces_them(written, read):
    assert substitute(written) == (read, [])


def test_values_are_replaced_at_every_depth_and_keys_never():
    value = {"${localEnv:HOME}": ["${localEnv:HOME}", {"a": "${env:HOME}"}, 1, None, True]}
    assert substitute(value)[0] == {"${localEnv:HOME}": ["/home/me", {"a": "/home/me"}, 1, None, True]}


def test_a_variable_without_a_name_is_refused_with_its_place():
    found, refused = substitute({"a": [1, "${localEnv}"], "b": "${env}"})
    assert refused == [(("a", 1), "`${localEnv}` names no variable"), (("b",), "`${env}` names no variable")]
    assert found["b"] == "${env}"


def test_the_container_folder_is_resolved_before_all_others():
    variables = Variables({}, Path("/src/site"), "/w/${localWorkspaceFolderBasename}/")
    assert (
        substitute("${containerWorkspaceFolder} ${containerWorkspaceFolderBasename}", variables)[0] == "/w/site/ site"
    )


def test_an_unknown_container_folder_leaves_its_variables():
    variables = Variables({}, Path("/src/site"), None)
    assert substitute("${containerWorkspaceFolder}", variables)[0] == "${containerWorkspaceFolder}"


def test_the_id_is_replaced_where_it_stands():
    assert with_id({"a": ["v-${devcontainerId}", "${localEnv}"]}, "x1") == {"a": ["v-x1", "${localEnv}"]}


def test_the_id_is_the_sha256_of_the_sorted_labels_in_base_32():
    # As printed by BigInt(`0x${hash}`).toString(32).padStart(52, '0') under Node.
    assert devcontainer_id({"b": "é", "a": "1"}) == "1ackq5prh2faqbvnp99p12m4gh5plk53lhjic6utlu535on6udd1"


def test_the_names_of_variables_are_known():
    assert named("${a:b} ${containerEnv:PATH}${c}") == ("a", "containerEnv", "c")
