"""profiles/kubernetes against a stand-in for the API; no cluster takes part.

The manifests are validated against the published schema of Kubernetes (kubernetes-validate).
"""

from __future__ import annotations

from typing import Any

import pytest
from pods import Api, served
from project import REPOSITORY, Project, made_project
from ruamel.yaml import YAML

PROFILE = REPOSITORY / "profiles/kubernetes/profile.yaml"
VERSIONS = ["1.31", "1.34"]


@pytest.fixture(autouse=True)
def idle() -> None:
    """No other cluster takes part."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Api, str]:
    """A project of which three stages were stale and ran as jobs; what Snakemake said."""
    pytest.importorskip("snakemake_executor_plugin_kubernetes", reason="residency[kubernetes]")
    project = made_project(tmp_path_factory.mktemp("made") / "project")
    profile = YAML(typ="safe").load(PROFILE)
    profile["kubernetes-shared-persistent-volumes"] = [f"residency:{project.root}"]
    profile["max-threads"] = profile["cores"] = 2
    profile["seconds-between-status-checks"] = 1
    profile["set-resources"] = {"evaluate": {"gpu": 1, "gpu_manufacturer": "'nvidia'"}}
    place = project.root / "profiles/kubernetes/profile.yaml"
    YAML().dump(profile, place)
    project.change("evaluations.ward.protocol.normalise", "none")
    folder = tmp_path_factory.mktemp("api")
    with (
        served(folder, PYTHONPATH=f"{project.root}/src") as api,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("KUBECONFIG", str(folder / "config"))
        said = project.run(
            *["env", "PYTHONPATH=src:profiles/kubernetes"],
            *["snakemake", "--profile", "profiles/kubernetes", "eval"],
            check=False,
        )
        logs = "".join(each.read_text() for each in sorted(folder.glob("*.log")))
        assert said.returncode == 0, said.stdout[-3000:] + logs[-3000:]
    return project, api, said.stdout


def resources(job: Any) -> Any:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return container["resources"]


def test_stale_stages_run_as_jobs_and_both_tools_are_content(
    told: tuple[Project, Api, str],
) -> None:
    project, api, said = told
    assert len(api.bodies("POST", "/jobs")) == 2, "the report is made where Snakemake is"
    stale = {"evaluate-ward-smollm2", "evaluate-ward-resident", "report"}
    assert project.stages_of(said) == stale
    assert project.settled()


@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_are_what_the_schema_of_kubernetes_says(
    told: tuple[Project, Api, str], version: str
) -> None:
    schema = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    _, api, _ = told
    for kind, api_version, name in [("Job", "batch/v1", "/jobs"), ("Secret", "v1", "/secrets")]:
        bodies = api.bodies("POST", name)
        assert bodies
        for body in bodies:
            schema.validate({"kind": kind, "apiVersion": api_version, **body}, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_pod_of_snakemake_is_what_the_schema_says_and_runs_the_profile(version: str) -> None:
    schema = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    manifests = list(YAML(typ="safe").load_all(PROFILE.with_name("build.yaml")))
    assert [each["kind"] for each in manifests] == ["Job", "ServiceAccount", "Role", "RoleBinding"]
    for each in manifests:
        schema.validate(each, version, strict=True)
    (container,) = manifests[0]["spec"]["template"]["spec"]["containers"]
    profile = YAML(typ="safe").load(PROFILE)
    assert container["image"] == profile["container-image"]
    mounted = f"residency:{container['volumeMounts'][0]['mountPath']}"
    assert profile["kubernetes-shared-persistent-volumes"] == [mounted]


def test_a_gpu_and_everything_else_that_is_requested_has_its_limit(
    told: tuple[Project, Api, str],
) -> None:
    asked = [resources(job) for job in told[1].bodies("POST", "/jobs")]
    for each in asked:
        assert each["requests"].keys() == each["limits"].keys()
        assert each["requests"]["memory"] == each["limits"]["memory"]
        assert each["limits"]["nvidia.com/gpu"] == "1"


def test_the_project_is_the_claim_mounted_at_its_own_path(told: tuple[Project, Api, str]) -> None:
    project, api, _ = told
    for job in api.bodies("POST", "/jobs"):
        pod = job["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert {"name": "residency", "mountPath": str(project.root)} in container["volumeMounts"]
        claimed = {"claimName": "residency"}
        assert {"name": "residency", "persistentVolumeClaim": claimed} in pod["volumes"]
        assert pod["restartPolicy"] == "Never"
        assert job["spec"]["backoffLimit"] == 0, "Kubernetes would start a second writer"
        assert container["workingDir"] == str(project.root)
        memory = {"name": "shared-memory", "mountPath": "/dev/shm"}
        assert memory in container["volumeMounts"], "64 MB without it"
        assert {"name": "shared-memory", "emptyDir": {"medium": "Memory"}} in pod["volumes"]


def test_no_secret_is_in_a_manifest(told: tuple[Project, Api, str]) -> None:
    _, api, _ = told
    for job in api.bodies("POST", "/jobs"):
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert all("secretKeyRef" in each["valueFrom"] for each in container.get("env") or [])
