"""Bodies against the admin API's contract ($WEIR_SHARED/reference/admin-api.openapi.json), by an official JSON Schema validator."""
import functools
import json
import os
import pathlib

import jsonschema
import pytest

PATH = pathlib.Path(os.environ.get("WEIR_SHARED", "../shared")) / "reference" / "admin-api.openapi.json"


def nullable(node):
    """OpenAPI 3.0's nullable, in the words of JSON Schema."""
    if isinstance(node, list):
        return [nullable(n) for n in node]
    if not isinstance(node, dict):
        return node
    out = {k: nullable(v) for k, v in node.items() if k != "nullable"}
    if node.get("nullable") is True:
        return {"anyOf": [out, {"type": "null"}]}
    return out


@functools.lru_cache
def document():
    if not PATH.exists():
        pytest.skip("the admin API's contract is not there (WEIR_SHARED)")
    return nullable(json.loads(PATH.read_text()))


def check(body, schema):
    """Raises unless body is what the contract calls `schema`."""
    doc = document()
    jsonschema.Draft202012Validator({"$ref": "#/components/schemas/" + schema, "components": doc["components"]},
                                    format_checker=jsonschema.FormatChecker()).validate(body)
    return body
