"""The description of the HTTP door against the standard, and against what the door really does. Argument: HOST:PORT of a gateway with
the tiny model `m`."""

import json
import sys
import urllib.error
import urllib.request

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

URL = f"http://{sys.argv[1]}"
ROW = {"x": 1.0, "n": 3, "color": "green", "pair": [0.5, -0.5]}
TENSORS = [
    {"name": "x", "shape": [1], "datatype": "FP64", "data": [1.0]},
    {"name": "n", "shape": [1], "datatype": "INT64", "data": [3]},
    {"name": "color", "shape": [1], "datatype": "BYTES", "data": ["green"]},
    {"name": "pair", "shape": [1, 2], "datatype": "FP32", "data": [[0.5, -0.5]]},
]
GOOD = {
    "/infer": {"id": "1", "inputs": TENSORS, "outputs": [{"name": "value"}], "parameters": {"routing_key": "k"}},
    "/predict": {"rows": [ROW, ROW], "response_id": "mine"},
    "/index": {"ready": True},
}
BAD = {"/infer": {"inputs": [{"name": "x"}]}, "/predict": {"rows": [{}]}}


def ask(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data=data, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers.get_content_type(), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get_content_type(), error.read()


DOCUMENT = json.loads(ask("GET", "/openapi.json")[2])
SCHEMAS = Resource(contents=DOCUMENT, specification=DRAFT202012)


def check(schema, value, what):
    registry = Registry().with_resource("urn:doc", SCHEMAS)
    schema = json.loads(json.dumps(schema).replace("#/components", "urn:doc#/components"))
    errors = list(Draft202012Validator(schema, registry=registry).iter_errors(value))
    assert not errors, f"{what}: {errors} in {value}"


def form(told):
    return told["content"]["application/json"]["schema"]


def main():
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    asked = 0
    for path, methods in DOCUMENT["paths"].items():
        real = path.replace("{model}", "m").replace("{version}", "1")
        for method, told in methods.items():
            bodies = [body for end, body in GOOD.items() if path.endswith(end)] or [{} if method == "post" else None]
            for body in bodies:
                if "requestBody" in told:
                    check(form(told["requestBody"]), body, f"what {path} takes")
                status, kind, answer = ask(method.upper(), real, body)
                known = told["responses"].get(str(status))
                assert known, f"{method} {real}: {status} {answer} is not described"
                assert kind in known["content"], f"{method} {real}: {kind}"
                if kind == "application/json":
                    check(form(known), json.loads(answer), f"{method} {real}")
                asked += 1
            # A name of nobody is told as it is described too.
            if "{model}" in path and "404" in told["responses"]:
                body = next((body for end, body in GOOD.items() if path.endswith(end)), None)
                status, _, answer = ask(method.upper(), real.replace("/m/", "/nobody/") if "/m/" in real else real[:-1] + "nobody", body)
                assert status == 404, f"{real}: {status} {answer}"
                check(form(told["responses"]["404"]), json.loads(answer), f"404 of {real}")
            for end, body in BAD.items():
                if path.endswith(end):
                    status, _, answer = ask(method.upper(), real, body)
                    assert status == 400 and json.loads(answer)["fields"], answer
                    check(form(told["responses"]["400"]), json.loads(answer), f"400 of {real}")
        # It goes by no other method, and says so.
        others = {"get": "POST", "post": "GET"}
        other = next(others[method] for method in methods)
        status, _, answer = ask(other, real, {} if other == "POST" else None)
        assert status == 405, f"{other} {real}: {status} {answer}"
    print(f"{len(DOCUMENT['paths'])} paths, {asked} answers as described")
    print("\n".join(sorted(DOCUMENT["paths"])))


main()
