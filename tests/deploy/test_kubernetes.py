"""The manifests of deploy/kubernetes: by the schemas that Kubernetes publishes, and by what the hub is."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from hub.http.openapi import document
from hub.settings import Settings, unknown_variables

from ..cli.readme import ROOT
from ..support.markdown import blocks

FILE = ROOT / "deploy" / "kubernetes" / "hub.yaml"
GUIDE = ROOT / "docs" / "guides" / "kubernetes.md"
VERSIONS = ("1.28", "1.33", "1.37")
END_S = 5.0  # what a node takes at most after its drain: docs/deploying.md

Manifest = dict[str, Any]


def manifests() -> list[Manifest]:
    return [each for each in yaml.safe_load_all(FILE.read_text()) if each is not None]


def of_kind(kind: str) -> list[Manifest]:
    return [each for each in manifests() if each["kind"] == kind]


def pod() -> Manifest:
    (deployment,) = of_kind("Deployment")
    found: Manifest = deployment["spec"]["template"]["spec"]
    return found


# By their schemas


@pytest.mark.sources
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_them(version: str) -> None:
    import kubernetes_validate

    documents = manifests()
    for block in blocks(GUIDE, "yaml"):
        documents += yaml.safe_load_all(block.text)
    kinds = {each["kind"] for each in documents}
    assert kinds == {"Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"}
    for each in documents:
        # Strict: a name that Kubernetes does not know is a slip, which the API server would drop.
        assert kubernetes_validate.validate(each, version, strict=True) == version


def _misspelt(pod: Manifest) -> None:
    pod["terminationGracePeriodSecond"] = pod.pop("terminationGracePeriodSeconds")


def _text(pod: Manifest) -> None:
    pod["terminationGracePeriodSeconds"] = "60"


def _misplaced(pod: Manifest) -> None:
    pod["lifecycle"] = pod["containers"][0].pop("lifecycle")


def _nameless(pod: Manifest) -> None:
    del pod["containers"][0]["name"]


@pytest.mark.sources
@pytest.mark.parametrize("slip", [_misspelt, _text, _misplaced, _nameless])
def test_a_slip_is_red(slip: Callable[[Manifest], None]) -> None:
    import kubernetes_validate

    deployment = copy.deepcopy(of_kind("Deployment")[0])
    slip(deployment["spec"]["template"]["spec"])
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, VERSIONS[-1], strict=True)


# By what the hub is


def test_its_settings_are_known_and_its_probes_are_routes() -> None:
    (container,) = pod()["containers"]
    assert unknown_variables({each["name"]: "" for each in container["env"]}) == []
    for each in container["env"]:
        if "value" in each:
            value = each["value"]
            name = each["name"].removeprefix("HUB_").lower()
            Settings(**{name: json.loads(value) if value[0] in "[{" else value})
        else:
            assert each["valueFrom"]["secretKeyRef"]["name"] == "hub"
    assert pod()["enableServiceLinks"] is False, "a Service named hub would set HUB_PORT=tcp://…"
    ports = {each["name"] for each in container["ports"]}
    routes = document("/ws")["paths"]
    for probe in ("readinessProbe", "livenessProbe"):
        asked = container[probe]["httpGet"]
        assert asked["path"] in routes
        assert asked["port"] in ports
    for service in of_kind("Service"):
        assert {each["targetPort"] for each in service["spec"]["ports"]} <= ports


def test_everything_is_about_the_same_pods() -> None:
    (deployment,) = of_kind("Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    (budget,) = of_kind("PodDisruptionBudget")
    (scaler,) = of_kind("HorizontalPodAutoscaler")
    selectors = [deployment["spec"]["selector"], budget["spec"]["selector"]]
    assert all(each["matchLabels"] == labels for each in selectors)
    assert all(each["spec"]["selector"] == labels for each in of_kind("Service"))
    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    (metric,) = scaler["spec"]["metrics"]
    measured = metric["pods"]["metric"]["name"]
    assert f"`{measured}`" in (ROOT / "docs" / "http.md").read_text(), "a metric of the hub"


def test_a_pod_has_the_time_that_a_departure_takes() -> None:
    (container,) = pod()["containers"]
    program, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    assert program == "sleep"
    defaults = Settings(jwt_secret="x" * 32)
    needed = float(seconds) + defaults.drain_notice + defaults.drain_seconds + END_S
    assert pod()["terminationGracePeriodSeconds"] >= needed


def test_the_user_is_the_one_of_the_image_by_number() -> None:
    """Kubernetes refuses a pod that must not be root where the image names its user by a word."""
    uid = re.search(r"useradd .*--uid (\d+)", Path(ROOT / "Dockerfile").read_text())
    assert uid is not None
    security = pod()["containers"][0]["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == int(uid[1])
