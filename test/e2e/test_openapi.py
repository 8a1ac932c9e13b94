"""src/admin/openapi.json: it describes what is there, it keeps the contract, and schemathesis finds the gateway true to it."""
import json
import os
import pathlib
import re
import subprocess

import pytest

from weir import ADMIN_KEY, ROOT, Weir, config

OURS = ROOT / "src" / "admin" / "openapi.json"
TOOLS = pathlib.Path(os.environ.get("WEIR_TOOLS", str(ROOT / "build" / "tools")))
SHARED = pathlib.Path(os.environ.get("WEIR_SHARED", str(ROOT.parent / "shared")))
METHODS = ("get", "head", "post", "patch", "delete")


def calls(document):
    return {(m, p) for p, ops in document["paths"].items() for m in ops if m in METHODS}


def routes():
    """As src/admin/routes.c has them, and the files that are served besides."""
    text = (ROOT / "src" / "admin" / "routes.c").read_text()
    table = text[text.index("admin_routes[]"):]
    out = {(m.lower(), p) for m, p in re.findall(r'\{HTTP_(\w+), "([^"]+)"', table)} | {("get", "/openapi.json")}
    for p in re.findall(r'RESOURCE\("([^"]+)"\)', table):
        out |= {("get", p), ("post", p), ("get", p + "/{id}"), ("patch", p + "/{id}"), ("delete", p + "/{id}")}
    return out | {("head", p) for m, p in out if m == "get"}


def test_every_call_is_described_and_no_other():
    assert calls(json.loads(OURS.read_text())) == routes()


def missing(contract, ours, path=""):
    """What the contract has and we have not, or have otherwise. Lists of words may be longer here, and what the contract leaves open may be bounded."""
    if isinstance(contract, dict):
        for k, v in contract.items():
            if k in ("info", "description", "summary"):
                continue
            if not isinstance(ours, dict) or k not in ours:
                yield path + "/" + k
            else:
                yield from missing(v, ours[k], path + "/" + k)
    elif isinstance(contract, list):
        for i, v in enumerate(contract):
            if not isinstance(ours, list) or not any(not list(missing(v, o)) for o in ours):
                yield "%s/%d" % (path, i)
    elif contract != ours:
        yield path


def test_nothing_of_the_contract_is_missing():
    contract = SHARED / "reference" / "admin-api.openapi.json"
    if not contract.exists():
        pytest.skip("the admin API's contract is not there (WEIR_SHARED)")
    assert list(missing(json.loads(contract.read_text()), json.loads(OURS.read_text()))) == []


CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,negative_data_rejection,unsupported_method," \
         "ignored_auth,use_after_free,ensure_resource_availability"
# 412 may come before a body is judged as a whole; 411 and 413 are refusals too.
SETTINGS = "[checks]\nnegative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 409, 411, 412, 413, 415, 422]\n"


def test_schemathesis(tmp_path):
    """Generated calls, right and wrong ones, against the real binary. Left out: /try, whose answers are the data plane's."""
    tool = TOOLS / "schema" / "bin" / "schemathesis"
    if not tool.exists():
        pytest.skip("schemathesis is not installed (make setup)")
    (tmp_path / "settings.toml").write_text(SETTINGS)
    conf = config(admin={"listen": "127.0.0.1:0", "apiKeys": [ADMIN_KEY]}, sim=True, stateDir=str(tmp_path / "state"),
                  providerKeys=[{"id": "aigpk_file", "providerId": "sim", "name": "file", "value": "sim-ok"}])
    with Weir(conf) as weir:
        r = subprocess.run([str(tool), "--config-file", str(tmp_path / "settings.toml"), "run", "http://127.0.0.1:%d/openapi.json" % weir.admin_port,
                            "-H", "Authorization: Bearer " + ADMIN_KEY, "--phases", "coverage,fuzzing", "--max-examples", "8", "--exclude-path", "/try",
                            "--checks", CHECKS, "--request-timeout", "5", "--continue-on-failure", "--generation-database", "none", "--no-color"],
                           capture_output=True, text=True, timeout=240, cwd=tmp_path)
        assert r.returncode == 0, r.stdout[-8000:]
        n = int(re.search(r"(\d+) generated", r.stdout).group(1))
        assert n > 500, r.stdout[-2000:]
        assert weir.call("/healthz").status == 200
