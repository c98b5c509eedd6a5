"""A release is named in one way wherever a command takes one; what trace says of each release is of that release."""

import json

import pytest

from storymesh.mesh.mesh import Mesh
from tests.support.release_meshes import storymesh


@pytest.mark.parametrize(
    ("arguments", "version"),
    [
        (["roadside@1.0.0-r1"], "1.0.0-r1"),
        (["roadside@1.0.0-r2"], "1.0.0-r2"),
        (["roadside"], "1.0.0-r2"),
        ([], "1.0.0-r2"),
        (["roadside", "--release", "1.0.0-r1"], "1.0.0-r1"),
        (["--release", "1.0.0-r1"], "1.0.0-r1"),
    ],
)
def test_a_record_is_led_back_in_the_release_that_is_named(roadside: Mesh, arguments: list[str], version: str) -> None:
    code, out, err = storymesh(roadside.root, "trace", *arguments, "report/B001", "--format", "json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["narrative"], found["release"]) == ("roadside", version)
    assert found["columns"][0]["text"].startswith("Seen from here") == (version == "1.0.0-r2")


def test_the_folder_of_a_release_names_it_too(roadside: Mesh) -> None:
    folder = str(roadside.releases / "roadside/1.0.0-r1")
    code, out, err = storymesh(roadside.root, "trace", folder, "report/B001", "--format", "json")
    assert (code, json.loads(out)["release"]) == (0, "1.0.0-r1"), err


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["roadside@1.0.0-r9", "report/B001"], "'roadside' has no release 1.0.0-r9", "did you mean '1.0.0-r"),
        (["roadsid@1.0.0-r1", "report/B001"], "'roadsid' has no release below", "did you mean 'roadside'?"),
        (["roadside@1.0.0-r1"], "'roadside@1.0.0-r1' is no record", "storymesh trace [RELEASE] RECORD"),
        (["report/B001", "roadside"], "'roadside' is no record", "storymesh trace [RELEASE] RECORD"),
        (["a", "b", "report/B001"], "one record at a time", "storymesh trace [RELEASE] RECORD"),
        (["roadside@1.0.0-r1", "report/B001", "--release", "1.0.0-r2"], "says already which release", "leave out"),
        (["roadside@1.0.0-r1", "reprot/B001"], "names no record of roadside 1.0.0-r1", "did you mean 'report'?"),
        (["roadside@1.0.0-r1", "report/B9999"], "has no record report/B9999", "did you mean"),
    ],
)
def test_unknown_name_is_an_error_with_a_hint(roadside: Mesh, arguments: list[str], message: str, hint: str) -> None:
    code, out, err = storymesh(roadside.root, "trace", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert hint in err
