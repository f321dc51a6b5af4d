"""What a release consists of: the files around the code agree with it, and with their formats."""

import re
import subprocess
import sys
import tomllib

import pytest
import yaml

SCHEMAS = {
    "vendor.github-workflows": [".github/workflows/tests.yml", ".github/workflows/release.yml"],
    "vendor.github-issue-forms": [".github/ISSUE_TEMPLATE/bug.yml", ".github/ISSUE_TEMPLATE/idea.yml"],
    "vendor.github-issue-config": [".github/ISSUE_TEMPLATE/config.yml"],
    "vendor.citation-file-format": ["CITATION.cff"],
}


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.mark.slow
@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_files_follow_their_formats(root, schema):
    pytest.importorskip("check_jsonschema", reason="check-jsonschema is not installed")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *SCHEMAS[schema]]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_workflow_and_form_is_checked(root):
    listed = {file for files in SCHEMAS.values() for file in files}
    assert listed >= {path.relative_to(root).as_posix() for path in (root / ".github").rglob("*.yml")}


def test_the_tests_run_on_the_versions_that_are_promised(root, project):
    jobs = yaml.safe_load((root / ".github/workflows/tests.yml").read_text(encoding="utf-8"))["jobs"]
    versions = jobs["quick"]["strategy"]["matrix"]["python"]
    assert project["requires-python"] == f">={versions[0]}"
    classified = [line.rpartition(" ")[2] for line in project["classifiers"] if re.search(r":: 3\.\d+$", line)]
    assert classified == versions
    assert {system.partition("-")[0] for system in jobs["quick"]["strategy"]["matrix"]["system"]} == {
        "ubuntu",
        "macos",
        "windows",
    }


def test_steps_call_what_exists(root):
    """Make targets, test names and extras that a workflow names."""
    text = (root / ".github/workflows/tests.yml").read_text(encoding="utf-8")
    targets = re.findall(r"run: make (\w+)", text)
    assert targets
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    (lesson,) = re.findall(r"-k (\w+)", text)
    assert (root / f"tutorials/{lesson}.ipynb").is_file()


def test_the_version_is_the_same_everywhere(root, project):
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    changes = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[([^]]+)\]", changes, re.MULTILINE)
    assert versions[0] == "Unreleased" or versions[0] == project["version"]


def test_a_release_is_published_without_a_stored_token(root):
    jobs = yaml.safe_load((root / ".github/workflows/release.yml").read_text(encoding="utf-8"))["jobs"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert "secrets." not in (root / ".github/workflows/release.yml").read_text(encoding="utf-8")
