"""Checks the OpenAPI document against the standard, and against the responses of the HTTP port. Argument: HOST:PORT of a gateway with
the tiny model `m`."""

import json
import re
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
    ":predict": {"instances": [ROW, ROW], "signature_name": "serving_default"},
}
# Bodies that every model refuses, so the document must not allow them.
BAD = {
    "/infer": [{}, {"inputs": []}, {"inputs": [{"name": "x"}]}, {"inputs": [{**TENSORS[0], "shape": "1"}]}, {"inputs": 7}],
    "/predict": [{}, {"rows": []}, {"rows": [ROW], "more": 1}, {"rows": [{"x": [[1.0]]}]}, {"rows": 7}],
    "/index": [{"ready": "yes"}],
    ":predict": [{"instances": 7}, {"instances": ROW}, {"instances": [ROW], "signature_name": 7}],
}
# Bodies that only this model refuses: the document does not depend on models.
STRANGE = {
    "/infer": [{"inputs": TENSORS[:1]}],
    "/predict": [{"rows": [{}]}],
    ":predict": [{}, {"instances": [{}]}, {"inputs": 7}],
}
# Keywords that contain a schema, a list of schemas, or schemas by name.
ONE = {"items", "additionalProperties", "contains", "propertyNames", "not", "if", "then", "else", "unevaluatedProperties"}
LIST = {"anyOf", "oneOf", "allOf", "prefixItems"}
NAMED = {"properties", "patternProperties", "dependentSchemas", "$defs"}


def ask(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data=data, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


DOCUMENT = json.loads(ask("GET", "/openapi.json")[2])
SCHEMAS = Resource(contents=DOCUMENT, specification=DRAFT202012)


def errors(schema, value):
    registry = Registry().with_resource("urn:doc", SCHEMAS)
    schema = json.loads(json.dumps(schema).replace("#/components", "urn:doc#/components"))
    return list(Draft202012Validator(schema, registry=registry).iter_errors(value))


def check(schema, value, what):
    wrong = errors(schema, value)
    assert not wrong, f"{what}: {wrong} in {value}"


def no_bare_boolean(schema, where):
    """`true` and `false` are schemas, but generators of clients do not read them."""
    assert isinstance(schema, dict), f"{where} is {schema}"
    for key, inner in schema.items():
        if key in ONE and not (key == "additionalProperties" and inner is False):
            no_bare_boolean(inner, f"{where}.{key}")
        elif key in LIST:
            for at, each in enumerate(inner):
                no_bare_boolean(each, f"{where}.{key}[{at}]")
        elif key in NAMED:
            for name, each in inner.items():
                no_bare_boolean(each, f"{where}.{name}")


def schemas():
    """Yields every schema of the document with its position."""
    yield from DOCUMENT["components"]["schemas"].items()
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            for parameter in operation["parameters"]:
                yield f"{path} {parameter['name']}", parameter["schema"]
            for each in [operation.get("requestBody", {}), *operation["responses"].values()]:
                for name, header in each.get("headers", {}).items():
                    yield f"{path} {name}", header["schema"]
                for kind, content in each.get("content", {}).items():
                    yield f"{path} {kind}", content["schema"]


def check_headers(response, headers, what):
    described = {name.lower() for name in response.get("headers", {})}
    received = {name.lower() for name in headers if name.lower().startswith(("taper-", "inference-"))}
    assert received <= described, f"{what}: {received - described} are not described"
    always = {name for name, header in response.get("headers", {}).items() if header.get("required")}
    assert always <= received, f"{what}: {always - received} are missing"


def refused(method, path, operation, body):
    status, _, answer = ask(method, path, body)
    assert status == 400 and json.loads(answer)["fields"], f"{path}: {status} {answer} to {body}"
    check(form(operation["responses"]["400"]), json.loads(answer), f"400 of {path}")


def form(response):
    return response["content"]["application/json"]["schema"]


def main():
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    for where, schema in schemas():
        no_bare_boolean(schema, where)
        assert f'"#/components/schemas/{where}"' not in json.dumps(schema), f"{where} contains itself, which generators do not read"
    asked = 0
    for path, methods in DOCUMENT["paths"].items():
        real = path.replace("{model}", "m").replace("{version}", "1").replace("{label}", "latest")
        for method, operation in methods.items():
            bodies = [body for end, body in GOOD.items() if path.endswith(end)] or [{} if method == "post" else None]
            for body in bodies:
                if "requestBody" in operation:
                    check(form(operation["requestBody"]), body, f"what {path} takes")
                status, headers, answer = ask(method.upper(), real, body)
                kind = headers.get_content_type()
                known = operation["responses"].get(str(status))
                assert known, f"{method} {real}: {status} {answer} is not described"
                assert kind in known["content"], f"{method} {real}: {kind}"
                check_headers(known, headers, f"{method} {real}")
                if kind == "application/json":
                    check(form(known), json.loads(answer), f"{method} {real}")
                asked += 1
            # The error for an unknown model also matches the document.
            if "{model}" in path and "404" in operation["responses"]:
                body = next((body for end, body in GOOD.items() if path.endswith(end)), None)
                unknown = re.sub("/m(?=[/:]|$)", "/nobody", real)
                status, _, answer = ask(method.upper(), unknown, body)
                assert status == 404, f"{real}: {status} {answer}"
                check(form(operation["responses"]["404"]), json.loads(answer), f"404 of {real}")
            # So does the error for a name that is not UTF-8.
            for name in ["{model}", "{version}", "{label}"]:
                if name in path:
                    strange = path.replace(name, "%ff").replace("{model}", "m").replace("{version}", "1").replace("{label}", "latest")
                    body = next((body for end, body in GOOD.items() if path.endswith(end)), None)
                    refused(method.upper(), strange, operation, body)
            for end in BAD:
                if path.endswith(end):
                    for body in BAD[end]:
                        assert errors(form(operation["requestBody"]), body), f"{path} is said to take {body}"
                        refused(method.upper(), real, operation, body)
                    for body in STRANGE.get(end, []):
                        check(form(operation["requestBody"]), body, f"what {path} takes")
                        refused(method.upper(), real, operation, body)
            if "requestBody" in operation:
                status, _, answer = ask(method.upper(), real)
                wanted = 400 if operation["requestBody"]["required"] else 200
                assert status == wanted, f"{real} without a body: {status} {answer}"
        # Other methods are refused with 405.
        others = {"get": "POST", "post": "GET"}
        other = next(others[method] for method in methods)
        status, _, answer = ask(other, real, {} if other == "POST" else None)
        assert status == 405, f"{other} {real}: {status} {answer}"
    print(f"{len(DOCUMENT['paths'])} paths, {asked} answers as described")
    print("\n".join(sorted(DOCUMENT["paths"])))


main()
