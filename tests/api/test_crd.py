"""The models of htcdask_api and the hand-written CRD agree: fields, types, bounds, patterns, defaults."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from htcdask_api import PoolSpec, PoolStatus, Template, WorkerLogs, classad_patterns, names, spec

CRDS = Path(__file__).parents[2] / "crds"
CRD: dict[str, Any] = yaml.safe_load((CRDS / "htcworkerpool.yaml").read_text())
LOG_CRD: dict[str, Any] = yaml.safe_load((CRDS / "htcworkerlog.yaml").read_text())
LOGS: dict[str, Any] = LOG_CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
VERSION: dict[str, Any] = CRD["spec"]["versions"][0]
PROPERTIES: dict[str, Any] = VERSION["schema"]["openAPIV3Schema"]["properties"]
BOUNDS = ("minimum", "maximum", "minLength", "maxLength", "pattern", "maxItems", "maxProperties", "enum")


def model_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The model's JSON schema in the CRD's manner: no $ref, no null, no title, nothing about Python."""
    whole = model.model_json_schema(by_alias=True)
    definitions = whole.get("$defs", {})

    def plain(node: dict[str, Any]) -> dict[str, Any]:
        if "$ref" in node:
            node = {
                **definitions[node["$ref"].rsplit("/", 1)[1]],
                **{k: node[k] for k in node if k != "$ref"},
            }
        if "anyOf" in node:
            (choice,) = (option for option in node["anyOf"] if option != {"type": "null"})
            node = {**{k: v for k, v in node.items() if k != "anyOf"}, **plain(choice)}
        out = {key: node[key] for key in ("type", *BOUNDS, "required") if key in node}
        if "properties" in node:
            out["properties"] = {name: plain(child) for name, child in node["properties"].items()}
        for key in ("items", "additionalProperties"):
            if isinstance(node.get(key), dict):
                out[key] = plain(node[key])
        return out

    return plain(whole)


def crd_schema(node: dict[str, Any]) -> dict[str, Any]:
    """The CRD's schema without what a model cannot hold: CEL, descriptions, list types, formats, defaults."""
    out = {key: node[key] for key in ("type", *BOUNDS, "required") if key in node}
    if "properties" in node:
        out["properties"] = {name: crd_schema(child) for name, child in node["properties"].items()}
    for key in ("items", "additionalProperties"):
        if key in node:
            out[key] = crd_schema(node[key])
    return out


@pytest.mark.parametrize(("part", "model"), [("spec", PoolSpec), ("status", PoolStatus)])
def test_fields_types_bounds_and_patterns_are_the_same(part: str, model: type[BaseModel]) -> None:
    assert crd_schema(PROPERTIES[part]) == model_schema(model)


def test_a_log_has_the_same_fields_types_bounds_and_patterns() -> None:
    assert crd_schema(LOGS) == model_schema(WorkerLogs)


def test_defaults_of_the_spec_are_the_same() -> None:
    fields = PROPERTIES["spec"]["properties"]
    in_crd = {name: field["default"] for name, field in fields.items() if "default" in field}
    bare = PoolSpec.model_validate({"clusterRef": {"name": "c"}})
    in_models = bare.model_dump(mode="json", by_alias=True, exclude={"cluster_ref"})
    in_models["template"] = bare.template.manifest()
    assert in_crd == in_models


def test_the_template_has_no_defaults_in_the_crd_but_says_them_in_words() -> None:
    fields = PROPERTIES["spec"]["properties"]["template"]["properties"]
    for name, field in fields.items():
        assert "default" not in field, f"{name}: a default here would hide the site's"
    bare = Template()
    for name, said in {
        "cores": str(bare.cores),
        "memory": bare.memory,
        "disk": bare.disk,
        "gpus": "None",
        "threads": str(bare.threads),
        "nanny": str(bare.nanny),
    }.items():
        assert f"{said} if nobody says otherwise" in fields[name]["description"]


def test_names_are_those_of_the_package() -> None:
    assert CRD["metadata"]["name"] == f"{names.PLURAL}.{names.GROUP}"
    assert (CRD["spec"]["group"], CRD["spec"]["names"]["kind"]) == (names.GROUP, names.KIND)
    assert LOG_CRD["metadata"]["name"] == f"{names.LOG_PLURAL}.{names.GROUP}"
    assert (LOG_CRD["spec"]["group"], LOG_CRD["spec"]["names"]["kind"]) == (names.GROUP, names.LOG_KIND)
    for crd in (CRD, LOG_CRD):
        assert [version["name"] for version in crd["spec"]["versions"]] == [names.VERSION]


def rules(node: dict[str, Any]) -> list[str]:
    """The messages of a node's CEL rules."""
    return [rule["message"] for rule in node.get("x-kubernetes-validations", [])]


def test_cel_messages_are_the_models_own() -> None:
    fields = PROPERTIES["spec"]["properties"]
    template = fields["template"]["properties"]
    assert rules(PROPERTIES["spec"]) == [spec.MANUAL_RULE, spec.MAXIMUM_RULE]
    assert rules(template["containerImage"]) == [spec.IMAGE_RULE, spec.IMAGE_PLACE_RULE]
    assert rules(template["memory"]) == rules(template["disk"]) == [spec.QUANTITY_RULE]
    assert rules(template["environment"]) == [
        spec.ENVIRONMENT_NAME_RULE,
        spec.ENVIRONMENT_VALUE_RULE,
        spec.ENVIRONMENT_SIZE_RULE,
    ]
    assert rules(template["resources"]) == [spec.RESOURCE_NAME_RULE]
    assert rules(template["requirements"]) == [
        spec.EXPRESSION_RULE,
        spec.BRACKETS_RULE,
        spec.FUNCTIONS_RULE,
    ]
    assert (
        template["requirements"]["x-kubernetes-validations"] == template["rank"]["x-kubernetes-validations"]
    )


def test_cel_patterns_are_the_models_own() -> None:
    template = PROPERTIES["spec"]["properties"]["template"]["properties"]

    def first_pattern(field: str, rule: int = 0) -> str:
        text = template[field]["x-kubernetes-validations"][rule]["rule"]
        match = re.search(r"\.matches\('(.*?)'\)", text)
        assert match is not None
        return match[1].replace("\\\\", "\\")  # CEL's string escape

    assert first_pattern("containerImage") == spec.IMAGE_PATTERN
    assert first_pattern("environment", 0) == spec.ENVIRONMENT_NAME_PATTERN
    assert first_pattern("environment", 1) == spec.PRINTABLE_PATTERN
    assert first_pattern("resources") == spec.RESOURCE_NAME_PATTERN
    assert first_pattern("containerImage", 1) == spec.IMAGE_ODD_PATH_PATTERN
    assert first_pattern("requirements") == classad_patterns.PATTERN
    assert first_pattern("requirements", 2) == classad_patterns.FUNCTIONS_PATTERN
    macros = classad_patterns.MACRO_PATTERN.replace("\\", "\\\\")
    assert f"!self.matches('{macros}')" in template["requirements"]["x-kubernetes-validations"][0]["rule"]
    brackets = classad_patterns.BRACKETS_PATTERN.replace("\\", "\\\\")
    assert (
        template["requirements"]["x-kubernetes-validations"][1]["rule"].count(f"findAll('{brackets}')") == 6
    )


def nodes(path: str, node: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every field below `node` with its path."""
    below = [(f"{path}.{name}", child) for name, child in node.get("properties", {}).items()]
    if "items" in node:
        below += [(f"{path}[].{n}", c) for n, c in node["items"].get("properties", {}).items()]
    return [entry for name, child in below for entry in [(name, child), *nodes(name, child)]]


def test_every_field_is_described_for_kubectl_explain() -> None:
    fields = [pair for part in ("spec", "status") for pair in nodes(part, PROPERTIES[part])]
    fields += nodes("", LOGS)
    assert len(fields) > 46
    assert [path for path, field in fields if not field.get("description")] == []


def test_everything_is_bounded() -> None:
    """The API server refuses CEL over unbounded values."""
    for path, field in nodes("spec", PROPERTIES["spec"]):
        if field["type"] == "string":
            assert "enum" in field or "maxLength" in field, path
        elif field["type"] in ("integer", "number"):
            assert {"minimum", "maximum"} <= field.keys(), path
        elif "additionalProperties" in field:
            assert "maxProperties" in field, path
